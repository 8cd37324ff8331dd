"""Sampling: what fails and what is slow is written whatever the share; the rest by its share, and counted."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.telemetry import CLIENT, CONSUMER, SpanDraft, TraceContext
from runtime.telemetry_tail import LEAST, SLOWEST, WINDOW, Stage, Tail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def spans(
    number: int, ms: float = 5.0, *, sampled: bool = False, error: str | None = None, stage: str = "process a"
) -> list[SpanDraft]:
    """A stage of one job: the whole, and a call in it, which may have failed."""
    context, end = TraceContext(f"{number + 1:032x}", None, sampled), NOON + timedelta(milliseconds=ms)
    whole = SpanDraft(context, f"{number + 1:016x}", stage, CONSUMER, NOON, end, {})
    call = SpanDraft(context.child_of(whole.span_id), f"{number + 2:016x}", "POST", CLIENT, NOON, end, {}, error)
    return [whole, call]


def test_what_the_sampler_took_is_written_as_it_is() -> None:
    tail, given_spans = Tail(), spans(1, sampled=True)

    assert tail.kept(given_spans) is given_spans
    assert tail.describe() == {
        "sampled": 1, "kept_for_an_error": 0, "kept_as_slow": 0, "left_out": 0, "spans_left_out": 0
    }  # fmt: skip


def test_an_error_anywhere_in_a_job_keeps_all_of_its_spans() -> None:
    tail = Tail()
    kept = tail.kept(spans(1, error="rate_limited"))

    assert [(span.name, span.context.sampled) for span in kept] == [("process a", True), ("POST", True)]
    assert tail.kept(spans(2)) == ()
    assert tail.describe() == {
        "sampled": 0, "kept_for_an_error": 1, "kept_as_slow": 0, "left_out": 1, "spans_left_out": 2
    }  # fmt: skip


def test_who_turned_tracing_off_gets_nothing_not_even_errors() -> None:
    tail = Tail(off=True)

    assert [*tail.kept(spans(1, sampled=True)), *tail.kept(spans(2, error="timeout"))] == []
    assert tail.left_out == 2


def test_the_slow_one_among_a_thousand_is_kept_and_of_the_usual_ones_about_the_slowest_hundredth() -> None:
    tail, dice = Tail(), random.Random(7)
    for number in range(5_000):
        tail.kept(spans(number, dice.gauss(100, 10)))
    usual = tail.slow

    assert len(tail.kept(spans(9_999, 1_000))) == 2
    assert tail.slow == usual + 1
    assert 0.3 * SLOWEST < usual / 5_000 < 3 * SLOWEST


def test_a_stage_is_judged_by_its_own_durations() -> None:
    tail = Tail()
    for number in range(LEAST):
        tail.kept(spans(number, 1, stage="process jobs"))
        tail.kept(spans(number, 1_000, stage="process text"))

    assert len(tail.kept(spans(1, 20, stage="process jobs"))) == 2
    assert tail.kept(spans(1, 900, stage="process text")) == ()


def test_before_there_is_anything_to_compare_with_nothing_is_slow() -> None:
    tail = Tail()

    assert all(tail.kept(spans(number, ms)) == () for number, ms in enumerate(range(1, LEAST)))


def test_what_became_slower_for_good_is_not_slow_for_ever() -> None:
    stage = Stage()
    told = [stage.is_slow(1.0) for _ in range(WINDOW)] + [stage.is_slow(2.0) for _ in range(2 * WINDOW)]

    assert Counter(told[:WINDOW]) == {False: WINDOW}
    assert any(told[WINDOW : WINDOW + 20])
    assert not any(told[-WINDOW:])


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=120), st.integers(100, 110))
def test_slow_is_above_the_99th_percentile_of_the_last_so_many(durations: list[float], window: int) -> None:
    stage = Stage(window)
    for at, seconds in enumerate(durations):
        before = sorted(durations[max(0, at - window) : at])
        assert stage.is_slow(seconds) is (
            len(before) >= LEAST and seconds > before[int(len(before) * (1 - SLOWEST)) - 1]
        )


def test_what_the_sampler_took_counts_among_the_durations_by_which_the_others_are_judged() -> None:
    tail = Tail()
    for number in range(3 * WINDOW):
        tail.kept(spans(number, 1_000 if number < 2 * WINDOW else 1, sampled=number % 7 != 0))

    assert len(tail.kept(spans(1, 20))) == 2


def test_memory_is_bounded_whatever_the_spans_are_called() -> None:
    tail = Tail()
    for number in range(10_000):
        tail.kept(spans(number, stage=f"process {number}"))

    assert len(tail._stages) <= 64
