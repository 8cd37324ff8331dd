"""One record, from the request back to a job and forward again: built, sent, answered, understood."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from conformance_reasons import explained, left_over

from conformance import standins
from conformance.asking import OWN_FORM, built, dead_answer, dialect_of, sent, sent_of, spoken, unfit
from conformance.expected import expected_kind, is_refusal
from conformance.faithful import lost
from conformance.inverse import Job, job_of
from conformance.records import Record
from conformance.routes import Route, today
from conformance.server import Scene, Server, Told
from conformance.verdict import Verdict
from runtime.clock import SystemClock
from runtime.http import DEADLINE, MAX_BYTES, AsyncBaseTransport, Request
from schemas.assignment import Candidate
from schemas.media import OUTPUTS
from workers.access import Access
from workers.call import Called, Caller, Errand
from workers.errors import ProviderError
from workers.exchange import Ask, Call
from workers.media import MediaFault
from workers.patience import Patience
from workers.sending import Bounds

BOUNDS = Bounds(connect_s=5.0, read_s=20.0, total_s=30.0, max_bytes=33_554_432)


@dataclass(frozen=True)
class Download:
    """What a fetched address gave."""

    data: bytes
    media_type: str


class Downloads:
    """The `Fetching` of a replay: any address is asked of the replay server, over the same HTTP port."""

    def __init__(self, http: AsyncBaseTransport, base: str) -> None:
        self._http = http
        self._base = base

    async def get(
        self, url: str, *, max_bytes: int, total_s: float, hold: Callable[[int], Awaitable[None]] | None = None
    ) -> Download:
        """The recorded download, or what stands in for it."""
        parts = urlsplit(url)
        request = Request("GET", f"{self._base}/@/{parts.netloc}{parts.path}")
        request.extensions |= {DEADLINE: total_s, MAX_BYTES: max_bytes}
        response = await self._http.handle_async_request(request)
        try:
            return Download(await response.aread(), response.headers.get("content-type", ""))
        finally:
            await response.aclose()


class Replayer:
    """Replays records against one server, over one HTTP port."""

    def __init__(
        self, server: Server, http: AsyncBaseTransport, calls: Iterable[Record], downloads: Mapping[str, Record]
    ) -> None:
        self._server = server
        self._http = http
        self._looks = [record for record in calls if record.method == "GET"]
        self._downloads = downloads

    async def verdict(self, record: Record) -> Verdict:
        """Build the request, compare it; send it, read the recorded answer."""
        verdict = Verdict(record.id, record.provider, record.task or "(none)")
        why_not = unfit(record)
        if why_not:
            verdict.request_why = verdict.answer_why = verdict.refusal_why = why_not
            return verdict
        dialect_name = dialect_of(record)
        route = today(record.provider, record.via, record.url)
        base = f"{self._server.base}/{record.id}"
        asked = self._asked(record, route, verdict, base, dialect_name)
        if asked is None:
            asked = self._stood_in(record, route, base, dialect_name)
        ask, call, whom = asked
        await self._answered(record, verdict, Errand(call, ask, Access(whom, spoken(dialect_name), None), BOUNDS))
        return verdict

    def _asked(
        self, record: Record, route: Route, verdict: Verdict, base: str, dialect: str
    ) -> tuple[Ask, Call, Candidate] | None:
        """The request of the job behind the recorded one; None where nobody can send it today."""
        if dialect == OWN_FORM:
            verdict.request_why = "dropped provider"
            return None
        job = job_of(record, route)
        if isinstance(job, Job):
            try:
                asked = built(job, base, dialect)
            except (ProviderError, MediaFault) as error:
                verdict.request_why = f"refused before the call: {error}"
                return None
            theirs = sent_of(record, route)
            reasons = explained(theirs, sent(asked[1], base))
            if reasons is None:
                verdict.request, verdict.request_why = "different", left_over(theirs, sent(asked[1], base))
            else:
                verdict.request, verdict.reasons = ("explained" if reasons else "equal"), reasons
            return asked
        verdict.request_why = job.reason
        return None

    def _stood_in(self, record: Record, route: Route, base: str, dialect: str) -> tuple[Ask, Call, Candidate]:
        """A request to which the recorded answer is an answer."""
        assert record.task is not None
        job_input = standins.an_input(record.task, standins.as_json(record.response.data or b""))
        if record.stream:
            job_input = {**job_input, "stream": True}
        model = route.model or record.model or "org/model"
        return built(Job(record.task, record.provider, model, job_input), base, dialect)

    async def _answered(self, record: Record, verdict: Verdict, errand: Errand) -> None:
        body = record.response.data
        if body is None or (not body and record.status < 300):
            verdict.answer_why = verdict.refusal_why = "the recorder lost the answer's body"
            return
        body, was_cut = standins.mended(body)
        if was_cut:
            verdict.notes.append("payload cut by the recorder; another of its type in its place")
        scene = self._server.scenes[record.id] = self._scene(record, errand, body)
        came = await self._came(errand, record.id)
        if is_refusal(record.status, body):
            verdict.answer_why = "a refusal"
            self._judge_refusal(record, verdict, body, came)
        else:
            verdict.refusal_why = "an answer"
            verdict.answer_why = dead_answer(record, verdict)
            if not verdict.answer_why:
                self._judge_answer(verdict, scene, came, body)

    def _scene(self, record: Record, errand: Errand, body: bytes) -> Scene:
        scene = Scene()
        asked = sent(errand.call, f"{self._server.base}/{record.id}")
        pieces = errand.call.body if isinstance(errand.call.body, tuple) else (errand.call.body,)
        told = Told(record.status, record.headers, body)
        scene.expect(asked.method, asked.path, b"".join(pieces), told)
        for look in self._looks:
            if look.provider == record.provider:
                path = today(look.provider, look.via, look.url).path
                scene.expect("GET", path, b"", Told(look.status, look.headers, look.response.data or b""))
        kind = next((place.kind for place in OUTPUTS.get(errand.ask.task, ())), "image")
        for address in addresses(body):
            parts = urlsplit(address)
            known = self._downloads.get(address.partition("?")[0])
            headers = dict(known.headers) if known is not None else {}
            scene.downloads[f"{parts.netloc}{parts.path}"] = Told(200, headers, standins.payload(kind, parts.path))
        return scene

    async def _came(self, errand: Errand, name: str) -> Called | ProviderError:
        base = f"{self._server.base}/{name}"
        caller = Caller(self._http, SystemClock(), fetching=Downloads(self._http, base), patience=Patience(faults=0))
        with caller.room.share() as share:
            try:
                return await caller(errand, share)
            except ProviderError as error:
                return error

    def _judge_refusal(self, record: Record, verdict: Verdict, body: bytes, came: Called | ProviderError) -> None:
        wanted = expected_kind(record.status, record.headers, body)
        if not isinstance(came, ProviderError):
            verdict.refusal, verdict.refusal_why = "different", f"taken for an answer; it is {wanted}"
        elif came.kind != wanted:
            verdict.refusal, verdict.refusal_why = "different", f"{came.kind}; it is {wanted}"
        else:
            verdict.refusal, verdict.refusal_why = "classified", str(came.kind)

    def _judge_answer(self, verdict: Verdict, scene: Scene, came: Called | ProviderError, body: bytes) -> None:
        if isinstance(came, Called):
            gone = lost(body, came.answer.output)
            verdict.answer, verdict.answer_why = (
                ("different", f"lost {'; '.join(gone)}") if gone else ("understood", "")
            )
        elif scene.strangers and all(is_named(one, body) for one in scene.strangers):
            verdict.answer, verdict.answer_why = "understood", "leads on to a poll that was not recorded"
            verdict.notes.append(verdict.answer_why)
        else:
            verdict.answer, verdict.answer_why = "different", f"{came.kind}: {came.message}"


def addresses(body: bytes) -> list[str]:
    """Every https address that stands as a whole text in a JSON answer."""
    found, todo = [], [standins.as_json(body)]
    while todo:
        value = todo.pop()
        if isinstance(value, str) and value.startswith("https://"):
            found.append(value)
        elif isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return found


def is_named(request: str, body: bytes) -> bool:
    """Whether a request of the client's is a look at something that the answer `body` names."""
    method, _, path = request.partition(" ")
    return method == "GET" and any(len(one) >= 8 and one.encode() in body for one in path.partition("?")[0].split("/"))
