"""Try a model from its page: publish a real job, wait for its result. And the same for scripts, with the token."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.exits import CommandError
from console.hub import uploads
from console.hub.answered import NoMedia, media_of, payload_of
from console.hub.tasks import FILE, FILE_PART, TEMPLATES, BadForm
from console.hub.trying import Busy, Tries, Try, job_in, order_of
from console.pages import hub_words
from console.pages.context import Context
from console.pages.render import job_url, json_answer, page
from console.payload_files import suffix_of
from schemas import codec

log = structlog.get_logger("novix.console")

WITHIN_S = 20.0
"""For Kafka to take a job, and for one look at the results: then the page asks again."""
GIVES_UP_MS = 150_000
"""After so long a page does not ask by itself any more."""
MOST_WAIT_S = 120.0
NO_WAY = "these pages run without a way to Kafka: novix run does it"
T = TypeVar("T")


def routes(context: Context) -> list[BaseRoute]:
    """The order, its result, and both for scripts."""
    pages = _Tries(context)
    return [
        Route("/hub/try", pages.publish, methods=["POST"]),
        Route("/hub/tried/{token}", pages.whole),
        Route("/hub/tried/{token}/{number:int}", pages.media),
        Route("/fragments/hub/tried/{token}", pages.part),
        Route("/api/hub/jobs", pages.api, methods=["POST"]),
    ]


class _Tries:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._tries = None if context.log is None else Tries(context.log, context.now_ms)

    async def publish(self, request: Request) -> Response:
        """A filled form. The guard has made sure that it is one of our own."""
        by_script = "hx-request" in request.headers
        settings = self._context.settings
        try:
            fields, files = _form(request.headers.get("content-type", ""), await request.body())
            payload, large = fields.get(FILE, "").strip(), None
            if FILE_PART in files:
                payload, large = uploads.payload(files[FILE_PART], fields.get("task", ""), settings)
            order = order_of({**fields, FILE: payload})
            tries = self._may()
            if large is not None:
                await _kafka(uploads.put(large, settings))
            one = await _kafka(tries.publish(order.job()))
        except BadForm as error:
            return _refused(str(error), 400, by_script=by_script)
        except (CommandError, OSError) as error:
            return _refused(str(error), 502, by_script=by_script)
        log.info("hub.tried", job_id=one.job_id, tenant=order.tenant, task=order.task)
        if by_script:
            return page("_hub_tried.html", one=one, result=None, over=False, problem="", shown=(), w=hub_words)
        return RedirectResponse(f"/hub/tried/{one.token}", status_code=303)

    async def whole(self, request: Request) -> Response:
        return page("hub_tried.html", **await self._looked(self._known(request), 0.5), over=True)

    async def part(self, request: Request) -> Response:
        try:
            one = self._known(request)
        except HTTPException as error:
            return page("_hub_refused.html", status=error.status_code, why=error.detail)
        told = await self._looked(one, WITHIN_S)
        over = bool(told["problem"]) or self._context.now_ms() - one.at_ms > GIVES_UP_MS
        return page("_hub_tried.html", **told, over=over)

    async def media(self, request: Request) -> Response:
        """A picture, sound or video of an answer; by its first bytes it is one, whatever the result says."""
        one, number = self._known(request), request.path_params["number"]
        payloads = media_of(one)
        if number >= len(payloads):
            raise HTTPException(404, "the answer has no such part")
        try:
            async with asyncio.timeout(WITHIN_S):
                data, media_type = await payload_of(payloads[number], self._context.settings)
        except NoMedia as error:
            raise HTTPException(404, str(error)) from error
        except TimeoutError as error:
            raise HTTPException(404, f"the blob store did not answer within {WITHIN_S:g} s") from error
        name = f"{number + 1}{suffix_of(media_type)}"
        headers = {"cache-control": "private, no-store", "content-disposition": f'inline; filename="{name}"'}
        return Response(data, media_type=media_type, headers=headers)

    async def api(self, request: Request) -> Response:
        """A job as JSON; `?wait=60` answers with its result, or with 202 if there is none within so many seconds."""
        try:
            one = await _kafka(self._may().publish(job_in(codec.decode(await request.body()))))
        except (codec.Undecodable, BadForm) as error:
            return json_answer({"error": str(error)}, status=400)
        except (CommandError, OSError) as error:
            return json_answer({"error": str(error)}, status=502)
        told = {"tenant": one.tenant, "job_id": one.job_id, "partition": one.place[0], "offset": one.place[1],
                "page": job_url(one.tenant, one.job_id)}  # fmt: skip
        wait_s = _seconds(request.query_params.get("wait", "0"))
        if not wait_s:
            return json_answer(told, status=202)
        try:
            result = await self._may().wait(one, wait_s)
        except Busy as error:
            return json_answer({**told, "error": str(error)}, status=202)
        except Exception as error:  # whatever a client library raises: the job is published all the same
            return json_answer({**told, "error": f"Kafka did not answer: {type(error).__name__}"}, status=202)
        return json_answer({**told, "result": result}, status=202 if result is None else 200)

    async def _looked(self, one: Try, within_s: float) -> dict[str, Any]:
        result, problem = one.result, ""
        if result is None:
            try:
                result = await self._may().wait(one, within_s)
            except Busy as error:
                problem = str(error)
            except CommandError as error:
                problem = str(error)
            except Exception as error:  # whatever a client library raises
                log.warning("hub.try_failed", error=type(error).__name__)
                problem = f"Kafka did not answer: {type(error).__name__}"
        return {"one": one, "result": result, "problem": problem, "shown": media_of(one), "w": hub_words}

    def _known(self, request: Request) -> Try:
        found = None if self._tries is None else self._tries.get(request.path_params["token"])
        if found is None:
            raise HTTPException(404, "no such try is remembered; its job is among the jobs")
        return found

    def _may(self) -> Tries:
        if self._tries is None:
            raise CommandError(NO_WAY)
        return self._tries


async def _kafka(work: Awaitable[T]) -> T:
    """Within the time that Kafka has. Raises `CommandError` for whatever a client library raises."""
    try:
        async with asyncio.timeout(WITHIN_S):
            return await work
    except (BadForm, CommandError):
        raise
    except Exception as error:
        log.error("hub.not_published", error=type(error).__name__)
        why = f"Kafka did not answer ({type(error).__name__}); whether the job was published, the jobs tell"
        raise CommandError(why) from error


def _form(content_type: str, body: bytes) -> tuple[dict[str, str], Mapping[str, bytes]]:
    """A form's fields and files; a template's are filled in. Raises `BadForm`."""
    if uploads.is_parts(content_type):
        parts = uploads.parts_of(content_type, body)
        fields, files = dict(parts.fields), parts.files
    else:
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=1_000)
        fields, files = {name: values[-1] for name, values in given.items()}, {}
    fields = {name: value.replace("\r\n", "\n") for name, value in fields.items()}
    if "template" in fields:
        found = next((one for one in TEMPLATES if one.name == fields["template"]), None)
        if found is None:
            raise BadForm("there is no such template")
        fields |= {"task": found.task, **found.values}
    return fields, files


def _seconds(text: str) -> float:
    return min(MOST_WAIT_S, float(text)) if text.isascii() and text.isdecimal() and len(text) < 6 else 0.0


def _refused(why: str, status: int, *, by_script: bool) -> Response:
    # htmx puts what a 4xx says into the page as well: the reason stands beside the form.
    return page("_hub_refused.html" if by_script else "refused.html", status=status, why=why)
