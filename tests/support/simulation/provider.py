"""A simulated Hugging Face: answers chat completions in virtual time, refuses and breaks by dice, keeps its own bill.

It stands on the far side of the network: what has reached it is worked on and charged for, whoever has been killed or
frozen, or has stopped waiting, meanwhile.
"""

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from runtime.http import DEADLINE, DeadlineExceededError
from runtime.settings import Settings
from simulation.kernel import Kernel, SimProcess, current

ORIGIN = "http://provider.sim"
SMALL, LARGE = "acme/small", "acme/large"
INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 20_000
"""Of one token, whoever offers it; the large model takes ten times as much."""
LARGE_FACTOR = 10
WAY_S = (0.001, 0.02)
"""Of a request, one direction."""
QUICK_S, SLOW_S = (0.02, 0.8), (0.8, 3.0)
"""How long it works."""
REFUSALS = {"limited": 429, "broken": 500, "overloaded": 503, "unauthorized": 401}
WORDS = {number: "w " * number for number in range(65)}


def price(model: str) -> dict[str, Any]:
    """What it charges, as a catalogue row tells it."""
    times = LARGE_FACTOR if model == LARGE else 1
    return {
        "input_nanousd_per_million_tokens": INPUT_NANOUSD * times * 1_000_000,
        "output_nanousd_per_million_tokens": OUTPUT_NANOUSD * times * 1_000_000,
        "source": "test",
        "as_of": "2026-11-22",
    }


@dataclass(slots=True)
class Mood:
    """How often what goes wrong with a call, in [0, 1), together at most 1. What is left is answered."""

    refuses_connection: float = 0.0
    limited: float = 0.0
    """429, half of them with Retry-After."""
    broken: float = 0.0
    """500."""
    overloaded: float = 0.0
    """503, some with Retry-After."""
    cut: float = 0.0
    """It works, charges, and the connection breaks in the middle of its answer."""
    lost: float = 0.0
    """It works, charges, and the connection breaks before its answer."""
    silent: float = 0.0
    """It works, charges, and never answers."""
    unauthorized: float = 0.0
    """401."""
    slow: float = 0.1
    """Of those that are answered."""


CALM = Mood()


@dataclass(slots=True)
class Call:
    """One call that reached the provider."""

    number: int
    at: float
    """The kernel's monotonic time."""
    trace: str
    """`tenant/id`."""
    pid: int
    process: str
    model: str
    provider: str = ""
    status: int = 0
    """What it came to: a status, or 0 where the connection broke or nothing was ever said."""
    tokens: tuple[int, int] = (0, 0)
    """Of input and output, if they are charged for."""
    charged: int = 0
    """Nano-dollars."""
    answered_at: float = math.inf
    """When whoever asked has the answer; never, if there is none."""


class SimProvider:
    """The provider of one schedule."""

    def __init__(self, kernel: Kernel, most_in_flight: int) -> None:
        """`most_in_flight`: calls that one process may have out at a time."""
        self.kernel = kernel
        self.mood = CALM
        self.calls: list[Call] = []
        self.at_call: Callable[[SimProcess, bool], None] | None = None
        """Is told of each call that arrives, and of each answer that leaves: of whose process, and which of the two."""
        self._most = most_in_flight
        self._in_flight: Counter[int] = Counter()
        """By pid: calls of which the process still waits."""

    def transport(self, _: Settings) -> "SimTransport":
        """In the place of `workers.app.transport`."""
        return SimTransport(self)

    def began(self, process: SimProcess) -> None:
        """A process begins a call."""
        self._in_flight[process.pid] += 1
        if self._in_flight[process.pid] > self._most:
            self.kernel.complain(f"{process} has {self._in_flight[process.pid]} calls out; {self._most} is its limit")

    def ended(self, process: SimProcess) -> None:
        """It waits for it no longer."""
        self._in_flight[process.pid] -= 1

    def arrive(self, request: httpx.Request, process: SimProcess, answer: "asyncio.Future[httpx.Response]") -> None:
        """A call is here: decide what becomes of it, and let the answer go back in its time."""
        kernel, dice = self.kernel, self.kernel.dice
        asked = json.loads(request.read())
        model, _, provider = asked["model"].partition(":")
        trace = request.headers.get("x-amzn-trace-id", "")
        call = Call(len(self.calls), kernel.monotonic, trace, process.pid, process.name, model, provider)
        self.calls.append(call)
        if self.at_call is not None:
            self.at_call(process, False)
        mood = self.mood
        kind = self._kind(dice.random(), mood)
        headers = {"content-type": "application/json", "x-request-id": f"call-{call.number}"}
        takes = dice.uniform(*WAY_S)
        reply: httpx.Response | Exception | None
        if kind in REFUSALS:
            call.status = REFUSALS[kind]
            if kind == "limited" and dice.random() < 0.5:
                headers["retry-after"] = dice.choice(["0", "1", "3", "-1", "soon"])
            elif kind == "overloaded" and dice.random() < 0.3:
                headers["retry-after"] = "1"
            reply = httpx.Response(call.status, headers=headers, content=b'{"error":"not now"}', request=request)
        else:
            takes += dice.uniform(*(SLOW_S if dice.random() < mood.slow else QUICK_S))
            words = dice.randint(1, min(64, int(asked.get("max_tokens") or 64)))
            prompt = sum(len(str(one.get("content"))) for one in asked["messages"]) // 4 + 8
            times = LARGE_FACTOR if model == LARGE else 1
            call.tokens = prompt, words
            call.charged = (prompt * INPUT_NANOUSD + words * OUTPUT_NANOUSD) * times
            reply = self._reply(kind, request, asked, model, words, prompt, headers)
            call.status = 200 if kind == "answered" else 0
        if reply is not None:
            takes += dice.uniform(*WAY_S)
            call.answered_at = call.at + takes
            kernel.call_later(takes, lambda: self._deliver(process, answer, reply))

    def _deliver(
        self, process: SimProcess, answer: "asyncio.Future[httpx.Response]", reply: httpx.Response | Exception
    ) -> None:
        process.deliver(_give, answer, reply)
        if self.at_call is not None:
            self.at_call(process, True)

    @staticmethod
    def _kind(at: float, mood: Mood) -> str:
        for kind in ("limited", "broken", "overloaded", "cut", "lost", "silent", "unauthorized"):
            at -= getattr(mood, kind)
            if at < 0:
                return kind
        return "answered"

    @staticmethod
    def _reply(
        kind: str, request: httpx.Request, asked: dict[str, Any], model: str, words: int, prompt: int,
        headers: dict[str, str],
    ) -> httpx.Response | Exception | None:  # fmt: skip
        if kind == "silent":
            return None
        if kind == "lost":
            return httpx.ReadError("the connection broke", request=request)
        usage = {"prompt_tokens": prompt, "completion_tokens": words, "total_tokens": prompt + words}
        common = {"id": "sim", "created": 0, "model": model}
        if asked.get("stream"):
            headers["content-type"] = "text/event-stream"
            chunks: list[dict[str, Any]] = [
                {"choices": [{"index": 0, "delta": {"role": "assistant", "content": WORDS[words]}}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": usage},
            ]
            kinds = {"object": "chat.completion.chunk"}
            events = [b"data: %s\n\n" % json.dumps(common | kinds | chunk).encode() for chunk in chunks]
            body = b"".join(events) + b"data: [DONE]\n\n"
        else:
            message = {"role": "assistant", "content": WORDS[words]}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            body = json.dumps(common | {"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        if kind == "cut":
            half = _Broken(body[: len(body) // 2], request)
            return httpx.Response(200, headers=headers, stream=half, request=request)
        return httpx.Response(200, headers=headers, content=body, request=request)


class SimTransport(httpx.AsyncBaseTransport):
    """One process's way to the provider: the HTTP port as workers use it."""

    def __init__(self, provider: SimProvider) -> None:
        self._provider = provider
        self.in_flight = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request and its answer. Raises httpx's transport errors; cancelled, it leaves the provider at work."""
        provider, process = self._provider, current()
        kernel, dice = provider.kernel, provider.kernel.dice
        if request.method != "POST":
            return httpx.Response(200, request=request)
        spans = request.extensions.get("timeout", {})
        answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        way = dice.uniform(*WAY_S)
        refused = dice.random() < provider.mood.refuses_connection
        provider.began(process)
        self.in_flight += 1
        try:
            if refused:
                await asyncio.sleep(way)
                raise httpx.ConnectError("refused", request=request)
            kernel.call_later(way, lambda: provider.arrive(request, process, answer))
            left, silence = float(request.extensions.get(DEADLINE, 600.0)), spans.get("read") or 30.0
            try:
                return await asyncio.wait_for(answer, min(left, silence))
            except TimeoutError:
                kind = DeadlineExceededError if left <= silence else httpx.ReadTimeout
                raise kind("no answer in time", request=request) from None
        finally:
            self.in_flight -= 1
            provider.ended(process)

    async def aclose(self) -> None:
        """Nothing is open."""


class _Broken(httpx.AsyncByteStream):
    """A body that ends too early."""

    def __init__(self, beginning: bytes, request: httpx.Request) -> None:
        self._beginning = beginning
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._beginning
        raise httpx.ReadError("the connection broke", request=self._request)


def _give(answer: "asyncio.Future[httpx.Response]", reply: httpx.Response | Exception) -> None:
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
