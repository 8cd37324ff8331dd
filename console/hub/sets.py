"""Labelled sets from where they lie: a file, or the Hub's dataset viewer."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from console.payload_files import MARK
from hub.evals.labelled import MOST_BYTES, MOST_LABELS, BadSet, Columns, Example, LabelledSet, labelled, rows_of
from hub.evals.rows import LABELS
from hub.evals.viewer import PAGE_BYTES, Source, rows
from runtime.settings import Settings
from schemas.media import INPUTS

LOOK_S = 30.0
MOST_NAME_CHARS = 512
"""Of a payload that is named by its file."""
HUGGING_FACE = "https://datasets-server.huggingface.co"


def of_file(file: str, task: str, columns: Columns, limit: int) -> LabelledSet:
    """A set of one's own. A payload is a file beside it, by its name. Raises `BadSet`."""
    path = Path(file)
    try:
        with path.open("rb") as source:
            data = source.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadSet(f"{file}: {error.strerror}") from None
    found = labelled(path.name, task, rows_of(path.name, data), columns, limit=limit)
    if task not in INPUTS:
        return found
    return replace(found, examples=tuple(_beside(one, path.parent) for one in found.examples))


def _beside(example: Example, folder: Path) -> Example:
    """A payload that is the name of a file there becomes `@file`, as `console.payload_files` reads it; the file's
    sha256 stands for it in the set's digest. Raises `BadSet`."""
    told = example.input.get("inputs")
    if not isinstance(told, str) or len(told) > MOST_NAME_CHARS or told.startswith(("data:", "http:", "https:")):
        return example
    path = folder / told.removeprefix(MARK)
    try:
        if not path.resolve().is_relative_to(folder.resolve()):  # a stranger's set must not send what lies elsewhere
            raise BadSet(f"the payload {told[:80]!r} lies outside the folder of its set")
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise BadSet(f"the payload {told[:80]!r} beside the set: {error.strerror}") from None
    except BadSet:
        raise
    except ValueError:
        raise BadSet(f"a payload's name of {len(told)} characters is no file's") from None
    return replace(example, input={**example.input, "inputs": f"{MARK}{path}"}, identity=digest)


async def of_viewer(
    settings: Settings, dataset: str, config: str, split: str, task: str, columns: Columns, limit: int
) -> LabelledSet:
    """The first rows of a split, page by page until there are enough examples. Raises `BadSet`."""
    from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport

    base = settings.hf_viewer_url or settings.sandbox_url or HUGGING_FACE
    async with HttpTransport(Egress([base], private=PRIVATE_NETWORKS)) as http:

        async def get(url: str) -> bytes:
            return await _get(http, url)

        found, classes = list[dict[str, Any]](), dict[str, list[str]]()
        async for row in rows(Source(base, dataset, config, split), get, limit=limit, classes=classes):
            found.append(row)
            if len(found) >= limit:
                break
    named = next((classes[name] for name in (columns.label, *LABELS) if name in classes), [])
    return labelled(dataset, task, found, columns, limit=limit, split=f"{config}/{split}", classes=named[:MOST_LABELS])


async def _get(http: Any, url: str) -> bytes:
    from runtime.http import DEADLINE, MAX_BYTES, HTTPError, Request, ResponseTooLargeError

    timeout = {"connect": LOOK_S, "read": LOOK_S, "write": LOOK_S, "pool": LOOK_S}
    sent = [("accept", "application/json"), ("user-agent", "novix")]
    request = Request(
        "GET", url, headers=sent, extensions={"timeout": timeout, DEADLINE: LOOK_S, MAX_BYTES: PAGE_BYTES}
    )
    try:
        response = await http.handle_async_request(request)
        try:
            body: bytes = await response.aread()
        finally:
            await response.aclose()
    except ResponseTooLargeError:
        raise BadSet(f"a page of the dataset viewer has more than {PAGE_BYTES} bytes") from None
    except HTTPError as error:
        raise BadSet(f"the dataset viewer at {request.url.host} does not answer: {type(error).__name__}") from None
    if response.status_code != 200:
        code = response.headers.get("x-error-code", "")[:64]
        raise BadSet(f"the dataset viewer answers {response.status_code} {code}".rstrip())
    return body
