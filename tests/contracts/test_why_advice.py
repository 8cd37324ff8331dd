"""What `novix why` advises: it fits the end, and each command that it writes is one and takes these words."""

import re
import shlex
from typing import Any

import pytest
import typer
from why_ends import ENDS, FOLDER, read

from console.cli import app
from console.telling.advice import command_of, next_steps
from console.telling.evidence import Evidence
from console.telling.story import tell
from schemas.failure import FailureKind

UsageError: Any = typer.BadParameter.__base__
"""Of the parser that typer brings along: a wrong word, option or number of them."""
PROVE = "audit prove"


def evidence(end: str) -> Evidence:
    return read((FOLDER / f"{end}.json").read_text())


ADVICE = {
    "succeeded": "novix results --job succeeded --tenant acme",
    "breaker_open": "novix breakers",
    "budget_refused": "novix budget set tight month --limit DOLLARS",
    "price_unknown": "novix prices set groq/lab/price-unknown",
    "deadline_passed": "with more time",
    "gated_model": "https://huggingface.co/lab/gated-model",
    "invalid_output": "novix dlq redrive",
    "dead_letter": "novix dlq redrive",
    "cancelled": "nothing, if that was meant",
    "ambiguous_payment": "novix ledger ambiguous acme",
}


@pytest.mark.parametrize(("end", "step"), ADVICE.items())
def test_what_to_do_next_fits_the_end(end: str, step: str):
    lines = tell(evidence(end))
    last = next(at for at, line in enumerate(lines) if line.startswith("next "))

    assert step in " ".join(line[11:] for line in lines[last:])


def words_of(step: str) -> list[str] | None:
    """The command of a step as a shell hands it over, 1 for what a person fills in; None for a step in words."""
    _, novix, command = step.partition("novix ")
    if not novix:
        return None
    return shlex.split(re.sub(r"\b[A-Z]{2,}\b", "1", command.split("  #")[0]))


def understood(words: list[str]) -> None:
    """Parse them as the command does, without running it. Raises `UsageError`; KeyError for a command that is none."""
    at: Any = typer.main.get_command(app)
    while hasattr(at, "commands"):
        at, words = at.commands[words[0]], words[1:]
    at.make_context(at.name, list(words))


@pytest.mark.parametrize("end", ENDS)
def test_every_command_that_a_story_writes_is_one_and_takes_these_words(end: str):
    found = evidence(end)
    story = " ".join(" ".join(tell(found)).split())

    for step in (*next_steps(found), f"to prove it: {command_of(found, PROVE)}"):
        assert " ".join(step.split()) in story
        if words := words_of(step):
            understood(words)


@pytest.mark.parametrize("kind", FailureKind)
def test_each_way_to_fail_has_a_next_step_and_its_commands_are_ones(kind: FailureKind):
    found = evidence("dead_letter")
    found.results[0] = {**found.results[0], "error": {"kind": kind, "message": "come back 2026-12-01T00:00:00Z"}}

    steps = next_steps(found)

    assert 1 <= len(steps) <= 3
    for words in filter(None, map(words_of, (one for one in steps if one.startswith("novix ")))):
        understood(words)


@pytest.mark.parametrize("end", ENDS)
def test_a_job_that_is_on_its_way_can_be_looked_for_and_cancelled(end: str):
    """Before its decision, and after it."""
    found = evidence(end)
    found.results = []
    for decisions in (found.decisions, []):
        found.decisions = decisions
        steps = next_steps(found)

        assert len(steps) >= 1
        for words in filter(None, map(words_of, steps)):
            understood(words)


@pytest.mark.parametrize(
    "words",
    [
        ["audit", "prove"],
        ["audit", "proof", "a"],
        ["dlq", "redrive", "--nobody"],
        ["budget", "set", "a", "b", "--limit"],
    ],
)
def test_a_command_that_is_none_is_not_understood(words: list[str]):
    with pytest.raises((UsageError, KeyError)):
        understood(words)
