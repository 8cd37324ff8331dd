"""The labelled requests that come with Novix, and how well they are read."""

from datetime import UTC, datetime

from hub.recommend.labelled import AT, Accuracy, Request, measure, requests, wrong
from schemas.recommendation import Constraints, TaskAnalysis
from schemas.tasks import MODALITIES

HELD_OUT_ALL = 0.68
"""Of the held-out requests, read right in every field: a little below the figure of docs/recommend.md."""
HELD_OUT_CONSTRAINTS = 0.91


def measured(part: str) -> Accuracy:
    return measure(one for one in requests() if one.part == part)


def test_there_are_three_hundred_requests_half_of_them_held_out_and_none_twice() -> None:
    assert len(requests()) >= 300
    assert sum(one.part == "held out" for one in requests()) == 150
    assert len({one.sentence for one in requests()}) == len(requests())


def test_every_label_is_one_that_an_answer_can_have() -> None:
    for one in requests():
        assert one.task is None or one.task in MODALITIES, one.sentence
        assert one.modality == (MODALITIES[one.task] if one.task else one.modality)
        Constraints.model_validate(
            {name: sorted(v) if isinstance(v, frozenset) else v for name, v in one.constraints.items()}
        )


def test_held_out_requests_are_read_as_well_as_the_documentation_says() -> None:
    found = measured("held out")

    assert found.right["all"] >= HELD_OUT_ALL * found.n
    assert found.right["constraints"] >= HELD_OUT_CONSTRAINTS * found.n
    assert found.right["untold"] == found.untold > 0


def test_the_second_set_has_two_halves_of_sixty() -> None:
    assert sum(one.part == "second test" for one in requests()) == 60
    assert sum(one.part == "second development" for one in requests()) == 60


def test_development_requests_are_nearly_all_read() -> None:
    found = measured("development")

    assert found.right["all"] >= 0.95 * found.n


def test_a_wrong_field_is_counted_as_wrong() -> None:
    """A value that is near, a language too many, and a condition that nobody told: each is a fault."""
    label = Request("x", "development", "translation", "text", frozenset({"de"}), {"max_parameters": 10}, untold=True)
    right = TaskAnalysis(
        task="translation", modality="text", languages=("de",), constraints=Constraints(max_parameters=10),
        not_understood=("it",),
    )  # fmt: skip

    assert wrong(label, right) == {}
    assert set(wrong(label, right.model_copy(update={"task": "summarization", "languages": ("de", "en")}))) == {
        "task",
        "languages",
    }
    assert set(wrong(label, right.model_copy(update={"constraints": Constraints(max_parameters=11)}))) == {
        "constraints"
    }
    more = Constraints(max_parameters=10, commercial=True)
    assert set(wrong(label, right.model_copy(update={"constraints": more}))) == {"constraints"}
    assert set(wrong(label, right.model_copy(update={"not_understood": ()}))) == {"untold"}


def test_labels_of_this_year_are_counted_from_one_day() -> None:
    assert datetime(2026, 11, 22, 12, tzinfo=UTC) == AT
