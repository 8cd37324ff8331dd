"""What strangers wrote, on a terminal: no command lets an escape, a bell or a mark that turns text around through."""

import functools
import unicodedata

import pytest
from command_names import commands
from console_world import NOON, Story, ms
from explorer_story import HOSTILE_IDS, MARKUP, REFUSED_IDS
from hostile_records import written
from hostile_texts import LARGE, TEXTS

from runtime.deadletter import dead_letter
from runtime.ports import LaneId, Outgoing, Record
from schemas import codec
from schemas.alerts import Alert
from schemas.failure import FailureKind
from schemas.topics import ALERTS, DLQ, JOBS

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\r\u202e\u2066\u200f\x7f"
IDS = (*HOSTILE_IDS, *REFUSED_IDS, "plain" + ESCAPES)
OUTPUT = {"choices": [{"message": {"role": "assistant", "content": f"{MARKUP}{ESCAPES} line\nline"}}]}


def raw(text: str) -> set[str]:
    """The characters that a terminal obeys instead of showing them: controls, and marks of direction."""
    return {
        ascii(one) for one in text
        if one not in "\n\t" and (unicodedata.category(one) == "Cc" or unicodedata.bidirectional(one) in _TURNING)
    }  # fmt: skip


_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize("job_id", IDS, ids=lambda job_id: ascii(job_id[:20]))
def test_a_jobs_story_and_its_answer_obey_nobody(novix, log, job_id):
    Story(job_id=job_id, tenant="acme" + ESCAPES, output=OUTPUT).write(log)

    said = ""
    for command in (
        ("why", "--tenant", "acme" + ESCAPES, "--", job_id),
        ("why", "--aloud", "--tenant", "acme" + ESCAPES, "--", job_id),
        ("why", "--json", "--tenant", "acme" + ESCAPES, "--", job_id),
        ("why", "--", "unknown" + job_id),
        ("results", "--tenant", "acme" + ESCAPES, "--count", "1"),
        ("cancel", "--", job_id),
    ):
        done = novix(*command)
        assert done.exception is None or isinstance(done.exception, SystemExit), command
        said += done.output
        assert raw(done.output) == set(), command

    assert "succeeded" in said


def test_dead_letters_and_alerts_obey_nobody(novix, log):
    for at, job_id in enumerate(IDS):
        value = codec.encode({"id": job_id, "tenant": ESCAPES, "input": ESCAPES})
        original = Record(JOBS.name, 0, at, ESCAPES.encode(), value, ((ESCAPES, ESCAPES.encode()),), ms(NOON))
        lane = LaneId("novix-router", JOBS.name, 0)
        letter = dead_letter(original, lane, FailureKind.CONFLICT, f"said {ESCAPES}", has_result=False)
        log.append(Outgoing(DLQ.name, letter.key, letter.value, letter.headers, 0, ms(NOON)))
    alert = Alert(
        alert_id="x",
        rule=ESCAPES,
        on="spend",
        subject=ESCAPES,
        value=1,
        threshold=1,
        unit="$",
        message=ESCAPES,
        at=NOON,
    )
    log.append(Outgoing(ALERTS.name, b"x", alert.encode(), partition=0, timestamp_ms=ms(NOON)))

    for command in (
        ("dlq", "list"), ("dlq", "list", "--json"), ("dlq", "show", "0/0"), ("dlq", "show", "0/11", "--json"),
        ("dlq", "show", "0/12", "--value"), ("dlq", "redrive", "--dry-run"), ("alerts", "list"),
    ):  # fmt: skip
        done = novix(*command)
        assert done.exception is None or isinstance(done.exception, SystemExit), command
        assert done.output
        assert raw(done.output) == set(), command


RUNS = {"up", "down", "demo", "bench mix", "router", "worker", "console", "relay", "alerts run", "request", "run",
        "results", "topology", "audit checkpoint", "endpoints run", "hub serve", "hub sync"}  # fmt: skip
"""Processes, and commands that wait for one or for Kafka; the tests before have `results`."""
ASKED = {
    "why": (("--tenant", "hostile", "--", "large"), ("--aloud", "--tenant", "hostile", "--", TEXTS["csi"])),
    "dlq list": ((), ("--json",)),
    "dlq show": (("0/0",), ("0/1", "--json"), ("0/2", "--value")),
    "cancel": (("--", TEXTS["csi"]),),
    "audit prove": (("--tenant", "hostile", "--", "large"),),
    "budget explain": (("hostile", TEXTS["csi"]),),
    **dict.fromkeys(("tenant show", "tier show", "org show", "policy show", "prices show"), ((TEXTS["csi"],),)),
    **dict.fromkeys(("hub search", "hub show", "hub recommend", "hub scan", "eval show"), ((TEXTS["csi"],),)),
    **dict.fromkeys(("registry allowed", "registry show", "alias history", "endpoints show",
                     "endpoints costs"), ((TEXTS["csi"],),)),
    "compare": ((TEXTS["csi"], TEXTS["csi"][::-1]),),
    **dict.fromkeys(("ledger statement", "schema export", "blob get", "quote", "replay"), ((TEXTS["csi"],),)),
}  # fmt: skip
"""With which arguments; the others with none."""


@functools.cache
def all_of_it():
    """A job of each text, with the text in all of its records."""
    told = {text[:200] or "empty": text for text in TEXTS.values()} | {"large": LARGE[:20_000]}
    return [one for name, text in told.items() for one in written(text, Story(job_id=name, tenant="hostile"))]


@pytest.mark.parametrize("name", [one for one in commands() if one not in RUNS])
def test_no_command_obeys_what_stands_on_the_topics_or_in_its_arguments_or_falls_over_it(novix, log, name):
    for one in all_of_it():
        log.append(one)

    for arguments in ASKED.get(name, ((),)):
        done = novix(*name.split(), *arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        assert raw(done.output) == set()
        assert len(done.output) < 2_000_000
