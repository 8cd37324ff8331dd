"""What a model calls a set's labels: told, or in its configuration; never guessed, and the rest is counted."""

from datetime import UTC, datetime

import pytest

from hub.evals.kept import MOST_MARKS, Runs, key_of
from hub.evals.labelled import BadSet, Columns, labelled
from hub.evals.made import UNMAPPED, About, Outcome, evaluated
from hub.evals.names import Names, given_names, id2label, wants_config
from runtime.ports import Record
from schemas.topics import EVALS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ABOUT = About("run-1", "org/model", "text-classification", "t", NOON, NOON, "machine")
REVIEWS = [{"text": f"review {n}", "label": ("negative", "positive")[n % 2]} for n in range(10)]
CONFIG = {"0": "NEGATIVE", "1": "positive"}


def reviews(rows=REVIEWS, limit=100, **more):
    return labelled("reviews", "text-classification", rows, Columns(), limit=limit, **more)


def answers(labels):
    return [Outcome(None, [{"label": label, "score": 0.9}]) for label in labels]


def numbered(some):
    """What a model answers that is always right, and has numbers for names."""
    return answers(f"LABEL_{('negative', 'positive').index(one.label)}" for one in some.examples)


def test_numbers_for_labels_have_no_score_and_are_no_zero():
    """LABEL_0 may be either one: nobody guesses, and a model of which nothing is known is not the worst one."""
    run = evaluated(ABOUT, reviews(), numbered(reviews()))

    assert (run.scores, run.marks, run.answered, run.failed) == ((), (), 0, {UNMAPPED: 10})
    assert run.notes["labels"]["unmapped"] == {"LABEL_0": 5, "LABEL_1": 5}
    assert (run.notes["labels"]["unmapped_answers"], run.notes["labels"]["mapped"]) == (10, {})


def test_a_label_means_what_whoever_asks_says():
    some = reviews()
    names = Names(given_names(["LABEL_0=Negative", "label_1=positive"], some))

    run = evaluated(ABOUT, some, numbered(some), names)

    assert (run.scores[0].value, run.answered, run.failed) == (1.0, 10, {})
    assert run.notes["labels"]["mapped"] == {"LABEL_0": "negative", "LABEL_1": "positive"}
    assert run.notes["labels"]["from"] == ["given"]
    assert run.dataset_digest == some.digest


def test_a_number_means_what_the_models_configuration_says():
    some = reviews()

    run = evaluated(ABOUT, some, numbered(some), Names({}, CONFIG))

    assert run.scores[0].value == 1.0
    assert run.notes["labels"]["from"] == ["config"]


def test_what_is_told_comes_before_the_configuration():
    some = reviews()
    names = Names(given_names(["LABEL_0=positive", "LABEL_1=negative"], some), CONFIG)

    assert evaluated(ABOUT, some, numbered(some), names).scores[0].value == 0.0


@pytest.mark.parametrize("config", [{"0": "LABEL_0", "1": "LABEL_1"}, {"0": "bad", "1": "good"}, {}])
def test_a_configuration_with_labels_of_its_own_maps_nothing(config):
    """Which of the set's labels `good` means is not for a program to say, nor that of two the first is the first."""
    assert evaluated(ABOUT, reviews(), numbered(reviews()), Names({}, config)).scores == ()


def test_some_labels_that_cannot_be_mapped_are_wrong_answers_and_are_counted():
    said = answers(["negative", "positive"] * 4 + ["neutral", "neutral"])

    run = evaluated(ABOUT, reviews(), said)

    assert (run.scores[0].value, run.answered, run.failed) == (0.8, 8, {UNMAPPED: 2})
    assert run.marks == (1.0,) * 8 + (0.0,) * 2


def test_a_label_of_further_rows_is_the_sets_although_no_example_has_it():
    """One example of `negative` is asked; a model that says `positive` is wrong, and understood."""
    run = evaluated(ABOUT, reviews(limit=1), answers(["positive"]))

    assert (run.scores[0].value, run.answered, run.failed) == (0.0, 1, {})
    assert reviews(REVIEWS[:1], classes=["negative", "positive"]).labels == ("negative", "positive")


def test_what_lies_beyond_the_examples_may_be_unreadable():
    def rows():
        yield from REVIEWS[:2]
        yield {"text": 5}
        raise BadSet("line 4 is no JSON")

    assert reviews(rows(), limit=1).labels == ("negative", "positive")


def test_parts_of_texts_have_names_that_are_mapped_too():
    rows = [{"tokens": ["Ada", "left", "London"], "ner_tags": ["B-person", "O", "B-place"]}]
    some = labelled("names", "token-classification", rows, Columns(), limit=9)
    output = [
        {"entity_group": "PER", "start": 0, "end": 3}, {"entity": "B-MISC", "start": 4, "end": 8},
        {"entity": "I-LOC", "start": 9, "end": 15},
    ]  # fmt: skip
    names = Names(given_names(["PER=person", "I-LOC=place", "MISC=O"], some))

    assert evaluated(ABOUT, some, [Outcome(None, output)], names).scores[0].value == 1.0
    unknown = evaluated(ABOUT, some, [Outcome(None, output)])
    assert (unknown.scores, unknown.notes["labels"]["unmapped"]) == ((), {"per": 1, "misc": 1, "loc": 1})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["LABEL_0"], "write LABEL=LABEL"),
        (["=negative"], "write LABEL=LABEL"),
        (["LABEL_0=angry"], "no such label; it has 2: negative, positive"),
        (["LABEL_0=negative", "label_0=positive"], "mapped twice"),
        (["x" * 300 + "=negative"], "256 at most"),
        ([f"l{n}=negative" for n in range(201)], "201 labels are mapped; at most 200"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(words, told):
    with pytest.raises(BadSet, match=told):
        given_names(words, reviews())


def test_a_task_whose_jobs_name_the_labels_takes_no_mapping():
    some = labelled("reviews", "zero-shot-classification", REVIEWS, Columns(), limit=9)

    with pytest.raises(BadSet, match="zero-shot-classification has no labels of a model's own"):
        given_names(["a=positive"], some)


def test_the_configuration_is_wanted_only_for_numbers_that_nobody_has_explained():
    some = reviews()
    given = Names(given_names(["LABEL_0=negative", "LABEL_1=positive"], some))

    assert wants_config(some, ["LABEL_0", "negative"], Names())
    assert not wants_config(some, ["LABEL_0", "LABEL_1"], given)
    assert not wants_config(some, ["negative", "neutral", None], Names())


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (b'{"id2label": {"0": "a", "1": "b"}}', {"0": "a", "1": "b"}),
        (b'{"id2label": {"0": "a", "x": "b", "2": 5, "3": "", "\xc2\xb2": "c"}}', {"0": "a"}),
        (b'{"id2label": ["a"]}', {}),
        (b"[]", {}),
        (b"<html>", {}),
        (b"", {}),
    ],
)
def test_a_configuration_says_what_it_says_and_a_strange_one_nothing(config, found):
    assert id2label(config) == found


def test_a_providers_flood_of_labels_is_told_shortened():
    some = reviews([{"text": "x", "label": "negative"}] * 100)
    run = evaluated(ABOUT, some, answers(f"{n}-" + "x" * 5_000 for n in range(100)))

    told = run.notes["labels"]["unmapped"]
    assert (len(told), max(map(len, told)), run.notes["labels"]["unmapped_answers"]) == (20, 64, 100)


def test_marks_of_the_oldest_runs_are_forgotten_and_their_scores_stay(monkeypatch):
    from hub.evals import kept

    assert MOST_MARKS >= 100 * 10_000
    monkeypatch.setattr(kept, "MOST_MARKS", 25)
    runs = Runs()
    for offset, model in enumerate(["a", "b", "c", "c"]):
        some = reviews()
        made = evaluated(ABOUT, some, answers(one.label for one in some.examples))
        run = made.model_copy(update={"model": model})
        runs.fold(Record(EVALS.name, 0, offset, key_of(run), run.encode(), (), 0))

    assert {model: len(runs.of(model)[0].marks) for model in "abc"} == {"a": 0, "b": 10, "c": 10}
    assert {model: runs.of(model)[0].scores[0].value for model in "abc"} == {"a": 1.0, "b": 1.0, "c": 1.0}
