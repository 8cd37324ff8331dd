"""The dataset viewer's routes for the sandbox's own labelled sets: `/is-valid`, `/splits`, `/first-rows`, `/rows`,
`/size`, in the form of its OpenAPI document; and the sound of one set."""

import asyncio
import functools
import io
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.hf import wire
from sandbox.hf.espeak import Espeak, Failed
from sandbox.hf.hub import answer
from sandbox.hf.hub_sets import SPOKEN, Labelled, sets, slice_of

MOST_ROWS = 100
_DONE: dict[str, list[Any]] = {"pending": [], "failed": []}


@dataclass(frozen=True)
class Viewer:
    """Answers from `hub_sets`; every other data set is unknown here."""

    espeak: Espeak

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/is-valid", self.is_valid),
            Route("/splits", self.splits),
            Route("/first-rows", self.first_rows),
            Route("/rows", self.rows),
            Route("/size", self.size),
            Route("/assets/novix-sandbox/spoken/{number:int}.wav", self.sound),
        ]

    async def is_valid(self, request: Request) -> Response:
        """Which of the viewer's parts a data set has."""
        _named(request, ())
        told = {"preview": True, "viewer": True, "search": False, "filter": False, "statistics": False}
        return answer(told)

    async def splits(self, request: Request) -> Response:
        """Its configurations and splits."""
        one = _named(request, ())
        return answer({"splits": [{"dataset": one.name, "config": one.config, "split": one.split}], **_DONE})

    async def first_rows(self, request: Request) -> Response:
        """The first hundred."""
        one = _named(request, ("config", "split"))
        told = slice_of(one, 0, MOST_ROWS, lambda number: _address(request, number))
        head = {"dataset": one.name, "config": one.config, "split": one.split}
        return answer(
            head | {"features": told["features"], "rows": told["rows"], "truncated": len(one.rows) > MOST_ROWS}
        )

    async def rows(self, request: Request) -> Response:
        """A slice: `offset` and `length`, of at most 100."""
        one = _named(request, ("config", "split"))
        offset, length = _number(request, "offset", 0), _number(request, "length", MOST_ROWS)
        if length > MOST_ROWS:
            raise _refused(422, "Parameter 'length' must not be greater than 100", "MissingRequiredParameter")
        return answer(slice_of(one, offset, length, lambda number: _address(request, number)))

    async def size(self, request: Request) -> Response:
        """How many rows there are."""
        one = _named(request, ())
        count = {"num_rows": len(one.rows), "estimated_num_rows": None}
        head = {"dataset": one.name, "config": one.config, "num_columns": len(one.features), **count}
        told = {
            "dataset": {"dataset": one.name, **count}, "configs": [head], "splits": [{**head, "split": one.split}],
        }  # fmt: skip
        return answer({"size": told, **_DONE, "partial": False})

    async def sound(self, request: Request) -> Response:
        """One spoken sentence, made when it is first asked for."""
        number = request.path_params["number"]
        if number >= len(SPOKEN):
            raise _refused(404, "The row does not exist.", "ResponseNotFound")
        try:
            spoken = await asyncio.to_thread(_spoken, self.espeak, number)
        except (Failed, ImportError, OSError):
            raise _refused(500, "No speech is made here: eSpeak NG is not installed.", "UnexpectedError") from None
        return Response(spoken, media_type="audio/wav")


@functools.lru_cache(maxsize=len(SPOKEN))
def _spoken(espeak: Espeak, number: int) -> bytes:
    said = espeak.speak(SPOKEN[number])
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(said.rate)
        file.writeframes((np.clip(said.samples, -1, 1) * 32_767).astype("<i2").tobytes())
    return out.getvalue()


def _named(request: Request, wanted: tuple[str, ...]) -> Labelled:
    query = request.query_params
    for name in ("dataset", *wanted):
        if not query.get(name):
            raise _refused(422, f"Parameter '{name}' is required", "MissingRequiredParameter")
    one = sets().get(query["dataset"])
    if one is None:
        missing = (
            "The dataset does not exist, or is not accessible without authentication (private or gated). Please check "
            "the spelling of the dataset name or retry with authentication."
        )
        raise _refused(404, missing, "ExternalUnauthenticatedError")
    if query.get("config", one.config) != one.config or query.get("split", one.split) != one.split:
        raise _refused(404, "The split does not exist.", "ResponseNotFound")
    return one


def _number(request: Request, name: str, default: int) -> int:
    told = request.query_params.get(name, str(default))
    if not told.isdecimal() or len(told) > 9:
        raise _refused(422, f"Parameter '{name}' must be integer", "MissingRequiredParameter")
    return int(told)


def _address(request: Request, number: int) -> str:
    return str(request.url.replace(path=f"/assets/novix-sandbox/spoken/{number}.wav", query=""))


def _refused(status: int, text: str, code: str) -> wire.Refusal:
    return wire.Refusal(status, {"error": text}, {"x-error-code": code})
