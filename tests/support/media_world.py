"""A worker of payloads: a blob store in a folder, strangers' addresses that answer as a test says."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from worker_world import Step, World, assigned, candidate, world

from runtime.blobs import BlobStore, BlobUnavailable
from runtime.blobs.folder import FolderStore
from runtime.http import Fetched, FetchError, FetchUnreachable
from runtime.ports import Record
from schemas.assignment import Candidate, Price
from schemas.topics import MODALITY_TOPICS
from workers.media import MediaLimits
from workers.payloads import Payloads
from workers.room import AnswerRoom

STRANGER = "https://files.stranger.test"


@dataclass
class Addresses:
    """What lies at strangers' addresses. An error stands there once, bytes for ever."""

    there: dict[str, list[bytes | FetchError]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def get(
        self, url: str, *, max_bytes: int, total_s: float, hold: Callable[[int], Awaitable[None]] | None = None
    ) -> Fetched:
        self.asked.append(url)
        standing = self.there.get(url) or [FetchUnreachable("files.stranger.test: nobody answers")]
        found = standing.pop(0) if len(standing) > 1 else standing[0]
        if isinstance(found, FetchError):
            raise found
        if hold is not None:
            await hold(len(found))
        return Fetched(found, "application/octet-stream")


class Broken(FolderStore):
    """A store that takes nothing."""

    async def put(self, data: bytes, media_type: str) -> str:
        raise BlobUnavailable("the store is full")


@dataclass
class MediaWorld:
    """A world with a store and addresses."""

    it: World
    store: BlobStore
    addresses: Addresses
    room: AnswerRoom

    async def blob(self, ref: dict[str, Any]) -> bytes:
        """The bytes of a result's reference, from the store."""
        return (await self.store.get(ref["sha256"], max_bytes=2**25)).data


@asynccontextmanager
async def media_world(
    path: Path, *steps: Step, modality: str = "image", there: dict[str, list[bytes | FetchError]] | None = None,
    store: BlobStore | None = None, shared: dict[str, Any] | None = None, **more: Any,
) -> AsyncIterator[MediaWorld]:  # fmt: skip
    """A worker of `modality` whose provider follows `steps`. A `store` of the test's own has little time."""
    addresses, room = Addresses(there or {}), AnswerRoom(2**27, 2**25)
    async with store or FolderStore(path / "blobs") as opened:
        payloads: Any = Payloads(opened, addresses, MediaLimits(), room, dice=lambda: 0.0)  # type: ignore[arg-type]
        given = {
            "payloads": payloads,
            "fetching": addresses,
            "store_s": 30.0 if store is None else 0.2,
            **(shared or {}),
        }
        made = world(*steps, modality=modality, shared=given, **more)
        yield MediaWorld(made, opened, addresses, room)


def queued(**change: Any) -> Candidate:
    """A model at fal: some tasks answer with an address, others through a queue."""
    price = Price(nanousd_per_image=300, source="test", as_of="2026-11-22")
    return candidate(
        **{
            "model": "acme/paint", "provider": "fal-ai", "dialect": "fal-ai", "provider_model": "fal-ai/paint",
            "price": price, "ceiling_nanousd": 1_000, **change,
        }
    )  # fmt: skip


def at_hf(**change: Any) -> Candidate:
    """A model at hf-inference, which answers payloads as they are."""
    return queued(**{"provider": "hf-inference", "dialect": "hf-inference", "provider_model": "acme/paint", **change})


def record(task: str, task_input: Any, *candidates: Candidate, modality: str = "image", **change: Any) -> Record:
    """An assigned job of `task`."""
    job = {"task": task, "input": task_input, **change.pop("job", {})}
    return assigned(*candidates, job=job, topic=MODALITY_TOPICS[modality], **{"parameters": {}, **change})


def painting() -> dict[str, Any]:
    """An input of text-to-image."""
    return {"inputs": "a gull in the rain"}


def document(value: Any, status: int = 200) -> httpx.Response:
    """A JSON answer."""
    body = json.dumps(value).encode()
    return httpx.Response(status, headers={"content-type": "application/json"}, content=body)


def in_queue() -> httpx.Response:
    """The answer of a queue that has taken a job."""
    where = "https://queue.fal.run/fal-ai/paint/requests/r1"
    return document({"request_id": "r1", "status": "IN_QUEUE", "response_url": where})


def state(status: str) -> httpx.Response:
    """What a queue says of the job when it is looked at."""
    return document({"status": status, "request_id": "r1"})
