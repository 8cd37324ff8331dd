"""What answers are worth: scores equal scikit-learn's and jiwer's, intervals hold what they promise, no answer is a
wrong one."""

import math
import random

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from hub.evals.intervals import bootstrap, bounded, means, wilson
from hub.evals.labelled import BadSet, Columns, NoExample, labelled
from hub.evals.made import SEED
from hub.evals.ways import WAYS, way_of
from schemas.tasks import MODALITIES

USUAL = Columns()
LABELS = st.sampled_from(["joy", "anger", "calm"])


def scores(task, rows, outputs):
    """Metric and average -> score, of rows with a job's output each; None: no answer."""
    found = labelled("set", task, rows, USUAL, limit=1_000)
    way = way_of(task)
    said = [
        None if output is None else way.prediction(one, output)
        for one, output in zip(found.examples, outputs, strict=True)
    ]
    return {(one.metric, one.average): one for one in way.scores(found.examples, said, SEED)}


def told(label):
    return [{"label": label, "score": 0.7}, {"label": "other", "score": 0.3}]


@given(st.lists(st.tuples(LABELS, st.one_of(st.none(), LABELS, st.just("never heard of"))), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_classification_scores_equal_scikit_learns_and_no_answer_is_a_wrong_one(pairs):
    rows = [{"text": "x", "label": right} for right, _ in pairs]
    found = scores("text-classification", rows, [None if said is None else told(said) for _, said in pairs])

    true, said = [right for right, _ in pairs], [given or "(nothing)" for _, given in pairs]
    labels = sorted(set(true))
    usual = {"labels": labels, "zero_division": 0}
    assert found["accuracy", ""].value == pytest.approx(metrics.accuracy_score(true, said))
    for metric, of in (
        ("f1", metrics.f1_score), ("precision", metrics.precision_score), ("recall", metrics.recall_score)
    ):  # fmt: skip
        assert found[metric, "macro"].value == pytest.approx(of(true, said, average="macro", **usual))
    assert found["f1", "micro"].value == pytest.approx(metrics.f1_score(true, said, average="micro", **usual))
    for one in found.values():
        assert 0 <= one.low <= one.high <= 1
        assert one.n == len(pairs)


def test_an_unanswered_example_lowers_accuracy_and_recall():
    rows = [{"text": "x", "label": "joy"}] * 4
    found = scores("text-classification", rows, [told("joy"), told("JOY "), None, []])

    assert found["accuracy", ""].value == 0.5
    assert (found["recall", "macro"].value, found["precision", "macro"].value) == (0.5, 1.0)


def test_the_label_of_the_highest_score_is_the_answer_whatever_its_place():
    way = way_of("text-classification")
    [one] = labelled("s", "text-classification", [{"text": "x", "label": "a"}], USUAL, limit=1).examples

    assert way.prediction(one, [{"label": "b", "score": 0.1}, {"label": "a", "score": 0.9}]) == "a"
    assert way.prediction(one, [[{"label": "b", "score": 0.1}, {"label": "a", "score": 0.9}]]) == "a"
    for hostile in ({}, None, "a", [1], [{"label": 5}], [{"score": 1}], [[]]):
        assert way.prediction(one, hostile) is None


def test_every_zero_shot_job_names_all_labels_of_the_set():
    rows = [{"text": "one", "label": "sport"}, {"text": "two", "label": "politics"}]

    found = labelled("s", "zero-shot-classification", rows, USUAL, limit=9)

    assert [one.input["parameters"]["candidate_labels"] for one in found.examples] == [["politics", "sport"]] * 2


def test_more_than_two_hundred_labels_are_refused_with_the_number():
    rows = [{"text": "x", "label": f"l{n}"} for n in range(201)]

    with pytest.raises(BadSet, match="201 different labels; it may have 200"):
        labelled("s", "text-classification", rows, USUAL, limit=1_000)


# Names in texts


def test_words_of_names_are_scored_as_scikit_learn_does_whatever_the_models_tokens():
    """`Ada Lovelace` was found as two pieces, `London` was missed, `Charles` taken for a place."""
    rows = [{"tokens": ["Ada", "Lovelace", "left", "London", ",", "Charles", "said"],
             "ner_tags": ["B-PER", "I-PER", "O", "B-LOC", "O", "B-PER", "O"]}]  # fmt: skip
    text = "Ada Lovelace left London , Charles said"
    output = [
        {"entity_group": "PER", "word": "Ada", "start": 0, "end": 3, "score": 1.0},
        {"entity": "I-PER", "word": "Lovelace", "start": 4, "end": 12, "score": 1.0},
        {"entity_group": "LOC", "word": "Charles", "start": text.index("Charles"), "end": text.index("said") - 1,
         "score": 0.4},
    ]  # fmt: skip
    found = scores("token-classification", rows, [output])

    true, said = ["per", "per", "o", "loc", "o", "per", "o"], ["per", "per", "o", "o", "o", "loc", "o"]
    usual = {"labels": ["loc", "per"], "average": "micro", "zero_division": 0}
    assert found["f1", "micro"].value == pytest.approx(metrics.f1_score(true, said, **usual)) == pytest.approx(4 / 7)
    assert found["precision", "micro"].value == pytest.approx(2 / 3)
    assert found["recall", "micro"].value == pytest.approx(2 / 4)
    assert found["accuracy", "words"].value == pytest.approx(5 / 7)


def test_spans_in_characters_are_the_same_as_tags_of_tokens():
    spans = [{"text": "Ada left London.", "label": [[0, 3, "PER"], {"start": 9, "end": 15, "label": "LOC"}]}]
    tokens = [{"tokens": ["Ada", "left", "London."], "tags": ["S-PER", "O", "B-LOC"]}]

    [one] = labelled("a", "token-classification", spans, USUAL, limit=1).examples
    [other] = labelled("b", "token-classification", tokens, USUAL, limit=1).examples

    assert (one.input, one.label) == (other.input, other.label)


def test_no_answer_to_a_text_finds_none_of_its_names_and_gets_no_word_right():
    rows = [{"tokens": ["Ada", "left"], "tags": ["B-PER", "O"]}] * 2
    good = [{"entity_group": "PER", "word": "Ada", "start": 0, "end": 3, "score": 1.0}]

    found = scores("token-classification", rows, [good, None])

    assert (found["recall", "micro"].value, found["precision", "micro"].value) == (0.5, 1.0)
    assert found["accuracy", "words"].value == 0.5


# Questions


def test_an_answer_is_right_without_capitals_signs_and_articles_and_words_count_by_halves():
    rows = [
        {"question": "q", "context": "c", "label": "the Eiffel Tower"},
        {"question": "q", "context": "c", "answers": {"text": ["in Paris", "Paris, France"], "answer_start": [1, 2]}},
        {"question": "q", "context": "c", "label": "bees"},
    ]
    found = scores("question-answering", rows, [
        [{"answer": "no", "score": 0.1}, {"answer": "Eiffel tower.", "score": 0.9}],
        {"answer": "Paris", "score": 1.0},
        None,
    ])  # fmt: skip

    assert found["accuracy", ""].value == pytest.approx(1 / 3)
    assert found["f1", "words"].value == pytest.approx((1 + 2 / 3 + 0) / 3)


# Speech


@given(st.lists(st.tuples(st.text("ab ", min_size=1), st.one_of(st.none(), st.text("ab "))), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_word_error_rate_equals_jiwers_and_silence_lost_every_word(pairs):
    pairs = [(right, said) for right, said in pairs if right.split()]
    if not pairs:
        return
    rows = [{"audio": "data:audio/wav;base64,AA==", "transcription": right} for right, _ in pairs]
    found = scores("automatic-speech-recognition", rows, [None if one is None else {"text": one} for _, one in pairs])

    expected = jiwer.wer(
        [" ".join(right.split()) for right, _ in pairs], [" ".join((s or "").split()) for _, s in pairs]
    )
    assert found["wer", ""].value == pytest.approx(expected)


def test_capitals_and_signs_are_no_errors_of_hearing():
    rows = [{"audio": "x", "text": "Don\u2019t panic, Arthur!"}]
    rows = [{"audio": "x", "transcription": rows[0]["text"]}]

    assert scores("automatic-speech-recognition", rows, [{"text": " don't PANIC arthur"}])["wer", ""].value == 0


# Ranks


def test_the_order_of_texts_is_scored_as_scikit_learn_does():
    rows = [{"query": "q", "texts": list("abcd"), "label": [3, 0, 1, 0]}]
    found = scores("sentence-similarity", rows, [[0.1, 0.9, 0.5, 0.2]])

    expected = metrics.ndcg_score([[3, 0, 1, 0]], [[0.1, 0.9, 0.5, 0.2]], k=10)
    assert found["ndcg", "first 10"].value == pytest.approx(expected)
    dcg = 1 / math.log2(3) + 3 / math.log2(5)
    assert expected == pytest.approx(dcg / (3 + 1 / math.log2(3)))


def test_vectors_rank_by_their_cosine_and_not_by_their_length():
    rows = [{"query": "q", "texts": ["near", "far but long"], "relevance": [1, 0]}]

    found = scores("feature-extraction", rows, [[[1.0, 0.0], [0.5, 0.1], [90.0, 90.0]]])

    assert found["ndcg", "first 10"].value == 1.0


def test_a_query_without_a_usable_answer_found_nothing():
    rows = [{"query": "q", "texts": ["a", "b"], "label": [1, 0]}] * 4
    outputs = [[0.9, 0.1], None, [0.9], [float("nan"), 1.0]]

    assert scores("sentence-similarity", rows, outputs)["ndcg", "first 10"].value == 0.25
    assert way_of("feature-extraction").prediction(
        labelled("s", "feature-extraction", rows, USUAL, limit=1).examples[0], [[0.0], [0.0], [0.0]]
    ) is None  # fmt: skip


# Intervals


def test_wilsons_bounds_are_those_of_the_paper():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    """200 samples of 100 examples, each right with a chance of 0.8: at least 180 intervals of both kinds hold 0.8."""
    dice = random.Random(7)
    held = {"wilson": 0, "bootstrap": 0}
    for seed in range(200):
        right = np.array([float(dice.random() < 0.8) for _ in range(100)])
        low, high = wilson(int(right.sum()), 100)
        held["wilson"] += low <= 0.8 <= high
        low, high = means(right, seed)
        held["bootstrap"] += low <= 0.8 <= high
    assert min(held.values()) >= 180


def test_rows_that_are_alike_may_be_counted_together():
    each = np.array([[1.0, 1.0]] * 30 + [[0.0, 1.0]] * 70)
    together, counts = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([30, 70])

    def share(sums):
        return sums[:, 0] / sums[:, 1]

    assert bootstrap(together, share, 1, counts) == pytest.approx(bootstrap(each, share, 1), abs=0.02)


def test_where_nothing_went_wrong_drawing_again_does_not_make_it_certain():
    low, high, method = bounded(1.0, 1.0, 1.0, 10)

    assert (round(low, 4), high, method) == (0.7225, 1.0, "wilson")
    assert bounded(0.5, 0.5, 0.5, 10) == (0.5, 0.5, "bootstrap-1000")


def test_a_label_that_a_draw_has_not_makes_no_draw_worse():
    """Two of each label, all right: a draw of four with one label alone has still no mistake."""
    rows = [{"text": "x", "label": label} for label in "aabb"]

    one = scores("text-classification", rows, [told(label) for label in "aabb"])["f1", "macro"]

    assert (one.low, one.high, one.method) == (wilson(4, 4)[0], 1.0, "wilson")


def test_the_same_answers_have_the_same_intervals():
    rows = [{"text": "x", "label": label} for label in "aabbb"]
    outputs = [told(label) for label in "ababb"]

    assert scores("text-classification", rows, outputs) == scores("text-classification", rows, outputs)


# Rows


@pytest.mark.parametrize(
    ("task", "row", "why"),
    [
        ("text-classification", {}, "none of the columns"),
        ("text-classification", {"text": "", "label": "a"}, "empty"),
        ("text-classification", {"text": ["x"], "label": "a"}, "a list"),
        ("text-classification", {"text": "x", "label": None}, "none of the columns"),
        ("text-classification", {"text": "x", "label": 1.5}, "a float"),
        ("token-classification", {"tokens": ["a"], "tags": []}, "one tag for each token"),
        ("token-classification", {"tokens": [], "tags": []}, "1 to 5000"),
        ("token-classification", {"text": "abc", "label": [[0, 9, "X"]]}, "outside"),
        ("token-classification", {"text": "abc", "label": [[2, 1, "X"]]}, "outside"),
        ("token-classification", {"text": "abc", "label": "X"}, "list of spans"),
        ("question-answering", {"question": "q", "label": "a"}, "context"),
        ("question-answering", {"question": "q", "context": "c", "label": [1]}, "list of texts"),
        ("automatic-speech-recognition", {"audio": "x", "transcription": "?!"}, "no word"),
        ("sentence-similarity", {"query": "q", "texts": ["a"], "label": [1]}, "2 to 200"),
        ("sentence-similarity", {"query": "q", "texts": ["a", "b"], "label": [0, 0]}, "above 0"),
        ("sentence-similarity", {"query": "q", "texts": ["a", "b"], "label": [1, True]}, "numbers"),
        ("sentence-similarity", {"query": "q", "texts": ["a", "b"], "label": [1, float("nan")]}, "numbers"),
    ],
)
def test_a_row_that_is_no_example_says_what_it_lacks(task, row, why):
    with pytest.raises(NoExample, match=why):
        way_of(task).example(row, USUAL)


def test_every_task_that_is_evaluated_exists_and_another_is_refused_by_name():
    assert set(WAYS) <= set(MODALITIES)
    with pytest.raises(BadSet, match="'text-to-video' is not evaluated; these are: automatic-speech"):
        way_of("text-to-video")
