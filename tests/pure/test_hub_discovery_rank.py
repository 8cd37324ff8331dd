"""Scores add up, and the best of many are the same ones that sorting would find."""

import math
import random

import numpy as np
import pytest
from hub_entries import entry, offer
from hypothesis import given
from hypothesis import strategies as st

from hub.discovery import rank
from hub.discovery.found import latency, spread
from hub.discovery.known import Unknown
from hub.index.columns import BLOCK, RECORD, Cells, Columns
from hub.index.embed import SCALE, Embedder, VectorFile, codes, cosines, quantised
from hub.index.offers import (
    LATENCY_SPREAD,
    blended,
    cost_of,
    latency_of,
    predicted_latency,
    priced,
    stated_latency,
)  # fmt: skip
from schemas.discovery import Part

numbers = st.one_of(st.just(math.nan), st.floats(-5, 5), st.integers(-3, 3).map(float))


@given(st.lists(st.tuples(numbers, st.integers(-1, 3), st.integers(0, 2**32 - 1)), max_size=60), st.integers(1, 70))
def test_the_best_of_many_are_those_that_sorting_finds(rows, most):
    """By value, then by downloads, then by the key's digest; what is unknown last."""
    primary = np.array([row[0] for row in rows], dtype=np.float64)
    second = np.array([row[1] for row in rows], dtype=np.int64)
    tie = np.array([row[2] for row in rows], dtype=np.uint32)

    found = rank.best(primary, second, tie, most).tolist()

    def key(at):
        value, downloads, digest = rows[at]
        return (math.inf if math.isnan(value) else -value, -downloads, digest)

    assert [key(at) for at in found] == sorted(map(key, range(len(rows))))[:most]
    assert len(set(found)) == len(found)


def test_weights_add_up_to_one_and_a_score_to_its_parts():
    """A score is between 0 and 1."""
    for weights in (rank.WITH_TEXT, rank.WITHOUT_TEXT):
        assert sum(weights.values()) == pytest.approx(1.0)
    told = (Part(name="bm25", value=0.5, weight=0.4), Part(name="cost", value=1.0, weight=0.1))
    assert rank.score(told) == pytest.approx(0.3)


def test_a_price_that_nobody_knows_is_worth_nothing_and_a_lower_one_more():
    """Free is best; unknown is not free."""
    worth = rank.cheapness(np.array([math.nan, 0.0, 1e6, 1e7, 1e9, 1e11, 1e13])).tolist()

    assert worth[0] == 0
    assert worth[1] == worth[2] == worth[3] == 1
    assert worth[3] > worth[4] > worth[5] == worth[6] == 0


def test_a_price_is_blended_only_of_two_known_ones():
    """An output price that is missing is not zero."""
    assert blended(100, 500) == 200
    assert blended(100, None) is blended(None, 100) is None
    assert priced(offer("x", free=True)) == 0
    assert priced(offer("x")) is None


def test_a_usual_jobs_time_is_that_of_the_best_live_offer_else_a_guess_by_size_else_unknown():
    """And what it rests on is told."""
    quick = offer("a", first_token_ms=100, tokens_per_s=200.0)
    dead = offer("b", first_token_ms=1, tokens_per_s=9_000.0, status="error")
    assert stated_latency(quick) == pytest.approx(1_100)
    told = latency_of(entry("a/b", served=[quick, dead]))
    assert (told.value, told.source) == (pytest.approx(1_100), "stated")
    assert told.low < told.value < told.high

    guess = latency_of(entry("a/b", task="text-generation", parameters=7 * 10**9))
    larger = predicted_latency(entry("a/b", task="text-generation", parameters=70 * 10**9))
    assert guess.source == "predicted"
    assert larger.value > guess.value
    assert guess.high / guess.low == pytest.approx(LATENCY_SPREAD**2)
    assert latency_of(entry("a/b", task="text-generation")) is None
    assert latency_of(entry("a/b", task="fill-mask", parameters=10**8)) is None


def test_a_usual_jobs_cost_lies_between_the_cheapest_and_the_dearest_offer():
    """600 tokens in, 200 out, at three to one."""
    offers = [offer("a", input_nanousd_per_mtok=100, output_nanousd_per_mtok=500),
              offer("b", input_nanousd_per_mtok=1_000, output_nanousd_per_mtok=5_000),
              offer("c", input_nanousd_per_mtok=1)]  # fmt: skip
    told = cost_of(entry("a/b", served=offers))

    assert (told.low, told.high, told.n) == (pytest.approx(0.16), pytest.approx(1.6), 2)
    assert cost_of(entry("a/b", served=offers[2:])) is None


def test_nine_of_ten_observed_times_lie_within_the_interval_that_earlier_errors_make():
    """B100: models are run in any order; those of the first half make the interval, the others are held against it."""
    dice, within = random.Random(4), []
    for _ in range(60):
        pairs = [(value := dice.uniform(100, 9_000), value * dice.lognormvariate(0.4, 0.8)) for _ in range(440)]
        found = spread(pairs[:40])
        within.append(sum(found.low <= seen / value <= found.high for value, seen in pairs[40:]) / 400)

    assert 0.87 < sum(within) / len(within) < 0.97
    assert spread(pairs[:18]) is None
    told = latency(entry("a/b", task="text-generation", parameters=10**9), Unknown(), spread(pairs[:40]))
    assert (told.source, told.n) == ("predicted", 40)
    assert told.low < told.value < told.high


def test_embeddings_put_near_what_means_the_same():
    """Quantised to a byte a number they hardly move."""
    embedder = Embedder()
    vectors = embedder.embed(["medical text summarization", "summarize clinical documents", "car racing pictures", ""])
    bytes_ = quantised(vectors)

    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 1, 1, 0], abs=1e-5)
    near = cosines(vectors[0], bytes_)
    assert near[1] > near[2] + 0.1
    assert near[0] == pytest.approx(1.0, abs=0.01)
    assert near[3] == 0
    assert np.abs(bytes_ / SCALE - vectors).max() < 1 / SCALE


@pytest.mark.parametrize("at_once", [1, 64, 3_001, 8_192])
def test_the_nearest_by_signs_are_the_nearest(tmp_path, monkeypatch, at_once):
    """Against every vector one by one: at least nine of the ten nearest of 3,000 are found, in their order; the same
    ones however many are counted at once."""
    monkeypatch.setattr("hub.index.embed.COUNTED_ROWS", at_once)
    dice = np.random.default_rng(3)
    centres = dice.normal(size=(40, 256))
    vectors = centres[dice.integers(0, 40, 3_000)] + 0.7 * dice.normal(size=(3_000, 256))
    vectors = quantised((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    file = VectorFile(tmp_path / "v", 0, writes=True)
    file.put(range(1, 3_001), vectors)
    mask = np.zeros(3_001, dtype=np.bool_)
    mask[1:] = True
    mask[7] = False
    query = (vectors[100] / np.linalg.norm(vectors[100].astype(np.float32))).astype(np.float32)

    rows, found = file.nearest(query, mask, 10)

    every = cosines(query, vectors)
    every[6] = -1
    best = set((np.argsort(-every)[:10] + 1).tolist())
    assert len(best & set(rows.tolist())) >= 9
    assert found.tolist() == sorted(found.tolist(), reverse=True)
    assert 7 not in rows
    assert codes(vectors[:1]).shape == (1, 4)


def test_columns_come_back_from_their_blocks_as_they_were():
    """Also where rows are gone, lists were replaced and the last block is not full."""
    columns = Columns()
    dice = np.random.default_rng(1)
    rows = list(range(1, 2 * BLOCK + 40))
    columns.put(rows, [_cells(dice) for _ in rows])
    columns.put(rows[5:60], [_cells(dice) for _ in rows[5:60]])

    blocks = [(n, *columns.block(n)) for n in range(3)]
    sizes = sum(len(one[1]) for one in blocks), sum(len(one[2]) for one in blocks)

    again = Columns.read(blocks, sizes)

    assert again.size == columns.size
    for name in RECORD.names:
        assert again[name].tobytes() == columns[name].tobytes()
    for row in rows:
        assert again.bag(row).tolist() == columns.bag(row).tolist()
    for word in range(1, 12):
        assert again.having(word).tolist() == columns.having(word).tolist() == [
            word in columns.bag(row).tolist() for row in range(columns.size)
        ]  # fmt: skip
    assert sorted(again.offers.tolist(), key=str) == sorted(columns.offers.tolist(), key=str)
    with pytest.raises(ValueError, match="block 2"):
        Columns.read([blocks[0], blocks[2]], sizes)
    for wrong in ((sizes[0] + 1, sizes[1]), (sizes[0], sizes[1] + 4), (sizes[0], sizes[1] - 4), (0, sizes[1])):
        with pytest.raises(ValueError, match="index"):
            Columns.read(blocks, wrong)
    with pytest.raises(ValueError, match="index"):
        Columns.read(blocks[:2], sizes)


def _cells(dice):
    bag = tuple(dice.integers(1, 12, dice.integers(0, 6)).tolist())
    record = tuple(
        float(dice.integers(0, 200)) if RECORD[name].kind == "f" else int(dice.integers(0, 200))
        for name in RECORD.names
    )
    offers = ((3, 4, 1, 100, 5.0),) * int(dice.integers(0, 3))
    return Cells(record, bag, offers)
