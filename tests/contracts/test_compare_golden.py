"""A whole comparison as it is told: table, front, trades, tests in pairs, who is best; what nobody knows is unknown."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
from compare_world import NOON, compared, run, subject

from schemas.catalog import Serving
from schemas.comparison import UNKNOWN, ModelComparison

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "data" / "comparison" / "three.json"


@pytest.fixture(scope="module")
def found() -> ModelComparison:
    """One of which all is known, one that was measured and has no card, one of which nobody knows anything."""
    marks = {"org/known": [1.0] * 88 + [0.0] * 12, "org/measured": [1.0] * 80 + [0.0] * 20}
    runs = {name: [run(name, sum(some) / 100, low=0.7, high=0.95, marks=some)] for name, some in marks.items()}
    served = (Serving(provider="groq", task="text-classification", input_nanousd_per_mtok=50),)
    card = {"task": "text-classification", "license": "MIT", "gated": "no", "downloads": 1_000, "likes": 5}
    return compared(
        subject("org/known", p95=200, nanousd=90_000, runs=runs["org/known"], allowed=True, parameters=1_000,
                dtypes={"F32": 1_000}, served=served, **card),
        subject("org/measured", p95=100, nanousd=180_000, runs=runs["org/measured"]),
        subject("org/nobody"),
        task="text-classification", tenant="acme",
    )  # fmt: skip


def test_the_comparison_is_the_one_that_was_read_and_found_right(found: ModelComparison):
    told = json.loads(found.encode())
    del told["models"]  # the catalogue's entries, as they are: they have goldens of their own

    assert told == json.loads(GOLDEN.read_bytes())


def test_it_is_valid_by_the_published_schema(found: ModelComparison):
    schema = json.loads((ROOT / "docs" / "schemas" / "model-comparison.v1.json").read_bytes())

    jsonschema_rs.Draft202012Validator(schema).validate(json.loads(found.encode()))


def test_every_cell_of_what_nobody_knows_is_unknown_and_has_no_value(found: ModelComparison):
    cells = [row.cells[2] for row in found.comparison.rows]

    assert {(one.text, one.value) for one in cells} == {(UNKNOWN, None)}
    assert found.analysis.not_on_front == ("org/nobody",)
    assert found.at == NOON
