"""One row a task: an input, answers in every form that the wire has had, answers that are none."""

import json
from pathlib import Path
from typing import Any

from task_row import Row, b64, without
from task_rows_media import IMAGE, MEDIA, MP4, PNG, WAV
from task_rows_text import TEXT, completion

from schemas.assignment import Candidate, Price
from schemas.media import INPUTS, OUTPUTS, replaced
from workers.exchange import Ask, Media
from workers.modalities import TASKS

__all__ = [
    "CANDIDATE", "IMAGE", "MP4", "PARAMETERS", "PNG", "RECORDS", "ROWS", "WAV", "Row", "ask_of", "b64", "completion",
    "published", "without", "written",
]  # fmt: skip

DATA = Path(__file__).parents[1] / "contracts" / "data" / "hf"
RECORDS: dict[str, dict[str, Any]] = {
    record["id"]: record
    for name in ("recorded.jsonl", "tasks.jsonl")
    for record in map(json.loads, (DATA / name).read_text(encoding="utf-8").splitlines())
}
PARAMETERS = {"max_tokens": 64, "temperature": 0.7, "top_p": 0.9}
"""As an assignment has them for the tasks that generate."""
CANDIDATE = Candidate(
    model="m", provider="p", provider_model="m", dialect="hf-inference", base_url="http://127.0.0.1:1",
    price=Price(nanousd_per_compute_ms=1, source="test", as_of="2026-11-01"),
    max_in_flight=1, estimate_nanousd=1, ceiling_nanousd=1,
)  # fmt: skip

ROWS: dict[str, Row] = TEXT | MEDIA
"""Every task; `test_modalities.py` proves that none is missing."""


def ask_of(task: str, job_input: dict[str, Any] | None = None) -> Ask:
    """What is asked with the row's input, or with another."""
    mine = PARAMETERS if task in ("chat-completion", "text-generation") else {}
    return TASKS[task].ask(ROWS[task].job_input if job_input is None else job_input, mine, CANDIDATE)


def written(task: str) -> dict[str, Any]:
    """The row's input as a producer writes it: payloads in base64."""
    return replaced(INPUTS.get(task, ()), ROWS[task].job_input, lambda _, media: b64(media.data))  # type: ignore[no-any-return]


def published(task: str, part: str, value: Any) -> Any:
    """`value` with a text where a payload stands, as the published schemas have it."""
    places = (INPUTS if part == "input" else OUTPUTS).get(task, ())
    return replaced(places, value, lambda _, one: "" if isinstance(one, Media) else one)
