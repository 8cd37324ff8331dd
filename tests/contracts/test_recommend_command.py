"""`novix hub recommend`: what it prints, and how it refuses what it cannot read."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from console.commands import hub_recommend
from console.commands.hub_recommend import told
from console.recommending import recommended
from console.words import shown
from schemas.recommendation import Constraints
from tests.support.shelf_search import AT, ListSearch, Measurements, entry


class Shelf:
    """An index of two entries."""

    def search(self, criteria: Any, *, known: Any, now: Any = None) -> Any:
        return ListSearch([entry("org/a", languages=("de",)), entry("org/b\x1b[31m", license="GPL-3.0-only")])(criteria)


def lines(sentence: str, **constraints: Any) -> list[str]:
    known = Measurements(cost={"org/a": 2_000}, latency={"org/a": 80})
    return told(recommended(Shelf(), known, sentence, "default", 3, AT, constraints=Constraints(**constraints)))


def test_the_answer_says_what_was_understood_who_is_in_and_who_is_out() -> None:
    text = "\n".join(lines("classify German text, no GPL, only on Sundays"))

    assert 'language: de  ("German")' in text
    assert "1. org/a" in text
    assert "$0.000002 a request (observed), 80 ms (observed)" in text
    assert "GPL-3.0-only is GPL" in text
    assert "not understood, and not applied: only on Sundays" in text


def test_nobody_left_is_said_and_unknown_is_called_unknown() -> None:
    text = "\n".join(lines("classify text", max_parameters=1))

    assert "no model is recommended" in text
    assert "max_parameters (100,000,000 parameters; at most 1 asked)" in text
    assert "price unknown" in "\n".join(told(recommended(Shelf(), Measurements(), "classify text", "default", 1, AT)))


def test_a_models_name_moves_no_cursor() -> None:
    assert "\x1b" not in shown("\n".join(lines("classify text")))


def test_the_answer_is_json_that_names_every_reason() -> None:
    found = json.loads(recommended(Shelf(), Measurements(), "classify text, no GPL", "default", 3, AT).encode())

    assert found["recommendations"][0]["model"] == "org/a"
    assert found["reasoning"]["excluded"][0]["reasons"][0]["name"] == "denied_licenses"
    assert set(found["alternatives"]) == {"higher_quality", "lower_cost", "faster_inference", "specialized"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a" * 2_001], "2000"),
        (["text", "--task", "telepathy"], "telepathy"),
        (["text", "--tenant", "a/b"], "slash"),
        (["text", "--top", "21"], "20"),
        (["text", "--max-cost", "-1"], "equal to 0"),
        (["text", "--max-cost", "nan"], ""),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(arguments: list[str], says: str) -> None:
    app = typer.Typer()
    app.command()(hub_recommend.recommend)

    found = CliRunner().invoke(app, arguments)

    assert found.exit_code == 2, found.output
    assert says in found.output
