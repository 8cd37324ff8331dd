"""Files of a person's as payloads of a job, and payloads of a result as files."""

import base64
import hashlib
import mimetypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.exits import CommandError, Exit
from runtime.blobs import BlobDamaged, BlobError, BlobStore
from runtime.blobs.stores import open_store
from runtime.settings import Settings
from schemas.media import BLOB_SCHEME, DATA_SCHEME, INPUTS, OUTPUTS, REF, BlobRef, Kind, found, is_ref, replaced
from workers.media import MediaFault, media_limits, probed

INLINE_BYTES = 131_072
"""Of all files of one job that travel inside it: in base64, with the rest, they fit into a job."""
MARK = "@"
"""Before a file's name where a payload would stand."""
KINDS: tuple[Kind, ...] = ("image", "video", "audio")
UNKNOWN_TYPE = "application/octet-stream"
SUFFIXES = {
    "audio/flac": ".flac", "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "audio/wav": ".wav", "image/jpeg": ".jpg",
    "image/png": ".png", "image/webp": ".webp", "video/mp4": ".mp4", "video/webm": ".webm",
    "application/json": ".json",
}  # fmt: skip
PROMPTED = ("image-to-image", "image-text-to-image", "image-to-video", "image-text-to-video")
"""Tasks on an image whose parameters have a `prompt`."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A file's bytes, and what they are."""

    data: bytes
    media_type: str
    told: dict[str, int]
    """Width, height, duration, ... as a reference tells them."""

    def reference(self, uri: str) -> dict[str, Any]:
        """The payload as a job or a result refers to it."""
        sha256 = hashlib.sha256(self.data).hexdigest()
        ref = BlobRef(sha256=sha256, uri=uri, media_type=self.media_type, bytes=len(self.data), **self.told)
        return {REF: ref.model_dump(exclude_none=True)}


def looked_at(data: bytes, settings: Settings, declared: str | None = None, name: str = "") -> Looked:
    """What the bytes are: by the first of them; else as `declared`; else by the file's name."""
    for kind in KINDS:
        try:
            media = probed(data, kind, media_limits(settings))
        except MediaFault:
            continue
        measures = ("width", "height", "duration_ms", "sampling_rate", "channels")
        told = {measure: getattr(media, measure) for measure in measures if getattr(media, measure) is not None}
        return Looked(data, media.media_type, told)
    return Looked(data, declared or mimetypes.guess_type(name)[0] or UNKNOWN_TYPE, {})


def read_file(name: str, limit: int) -> bytes:
    """A file's bytes, up to `limit`. Raises `CommandError`."""
    path = Path(os.path.expanduser(name))
    try:
        with path.open("rb") as source:
            data = source.read(limit + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from None
    if len(data) > limit:
        raise CommandError(f"{path} has more than {limit} bytes (NOVIX_MAX_PAYLOAD_BYTES)", Exit.USAGE)
    return data


def input_with(task: str, file: str, prompt: str | None, max_tokens: int) -> dict[str, Any]:
    """A task's input with `@file` where its payload stands, and the prompt where the task has one.

    Raises `CommandError`."""
    places = INPUTS.get(task)
    if places is None:
        known = ", ".join(sorted(INPUTS))
        raise CommandError(f"--file: {task} takes no image, sound or video; these do: {known}", Exit.USAGE)
    there = MARK + file
    if task == "chat-completion":
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": there}}]
        content += [{"type": "text", "text": prompt}] if prompt else []
        return {"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens}
    if places[0].path == ("inputs", "image"):
        if prompt is None:
            raise CommandError(f"--file: {task} wants a question as well", Exit.USAGE)
        return {"inputs": {"image": there, "question": prompt}}
    if prompt is None:
        return {"inputs": there}
    if task in PROMPTED:
        return {"inputs": there, "parameters": {"prompt": prompt}}
    raise CommandError(f"--file: {task} takes no text beside it; other parameters go into --input", Exit.USAGE)


async def with_files(settings: Settings, task: str, task_input: dict[str, Any]) -> dict[str, Any]:
    """The input with the file's content wherever `@file` stands for a payload: inside the job if all of them are small,
    else in the blob store and referred to. Raises `CommandError`."""
    places = INPUTS.get(task, ())
    named = [value for _, value in found(places, task_input) if isinstance(value, str) and value.startswith(MARK)]
    if not named:
        return task_input
    files = []
    for name in named:
        data = read_file(name[len(MARK) :], settings.max_payload_bytes)
        files.append(looked_at(data, settings, name=name))
    if sum(len(file.data) for file in files) <= INLINE_BYTES:
        given: Sequence[Any] = [_data_uri(file) for file in files]
    else:
        async with open_store(settings) as store:
            given = [file.reference(BLOB_SCHEME + await kept(store, file)) for file in files]
    content = dict(zip(named, given, strict=True))
    filled: dict[str, Any] = replaced(
        places, task_input, lambda _, one: content.get(one, one) if isinstance(one, str) else one
    )
    return filled


def _data_uri(file: Looked) -> str:
    return f"{DATA_SCHEME}{file.media_type};base64,{base64.b64encode(file.data).decode()}"


async def kept(store: BlobStore, file: Looked) -> str:
    """The sha256 of the file in the store. Raises `CommandError`."""
    try:
        return await store.put(file.data, file.media_type)
    except BlobError as error:
        raise CommandError(str(error)) from None


async def bytes_of(store: BlobStore, ref: BlobRef, limit: int) -> bytes:
    """What a reference names, its sha256 checked. Raises `BlobError`."""
    if ref.uri.startswith(DATA_SCHEME):
        return bytes_inside(ref)
    return (await store.get(ref.sha256, max_bytes=limit)).data


def bytes_inside(ref: BlobRef) -> bytes:
    """What a `data:` reference holds, its sha256 checked. Raises `BlobDamaged`."""
    data = base64.b64decode(ref.uri.partition(";base64,")[2])
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise BlobDamaged(f"the reference's own {len(data)} bytes have another sha256")
    return data


def references_in(task: str, output: Any) -> list[BlobRef]:
    """The references of an output: the whole of it, or one at each place where the task has a payload."""
    values = [output] if is_ref(output) else [value for _, value in found(OUTPUTS.get(task, ()), output)]
    return [BlobRef.model_validate(value[REF]) for value in values if is_ref(value)]


async def write_out(settings: Settings, folder: Path, result: dict[str, Any]) -> list[Path]:
    """Write each payload of a result as a file named after its job; no file is overwritten. Raises `CommandError`."""
    refs = references_in(str(result.get("task")), result.get("output"))
    stem = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in result["job_id"])
    written = []
    try:
        async with open_store(settings) as store:
            for number, ref in enumerate(refs):
                data = await bytes_of(store, ref, max(ref.bytes, settings.max_payload_bytes))
                count = f"-{number}" if number else ""
                path = folder / f"{stem[:100]}{count}{suffix_of(ref.media_type)}"
                new_file(path, data)
                written.append(path)
    except BlobError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}", Exit.USAGE) from None
    return written


def suffix_of(media_type: str) -> str:
    """How a file of that type ends: by our own table first, for what the system knows differs from one to the next."""
    return SUFFIXES.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"


def new_file(path: Path, data: bytes) -> None:
    """Write a file that is not there yet; what cannot be written whole is taken away. Raises `CommandError` if it is
    there, and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        sink = path.open("xb")
    except FileExistsError:
        raise CommandError(f"{path} is there already, and is not overwritten", Exit.USAGE) from None
    try:
        with sink:
            sink.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
