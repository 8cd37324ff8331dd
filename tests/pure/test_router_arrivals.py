"""Jobs on their way to their decisions: found by the decision's id, and never more of them kept than allowed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.arrival import driven_again, read_arrival
from router.arrivals import Arrivals
from runtime.partitions import home_partition
from runtime.ports import Record
from schemas import codec, headers
from schemas.job import Unreadable
from schemas.topics import JOBS

PARTITIONS = 3
HOME = home_partition("default", PARTITIONS)


def record(number: int, *, told: Any = (), size: int = 0, partition: int = HOME) -> Record:
    value = codec.encode({"id": f"j{number}", "task": "chat-completion", "input": {"messages": ["x" * size]}})
    return Record(JOBS.name, partition, number, None, value, tuple(told), 1)


def decision(found: Record, prefix: str = "") -> dict[str, Any]:
    """What the home lane calls its answer to a record."""
    arrival = read_arrival(found, datetime(2026, 11, 22, tzinfo=UTC), PARTITIONS, prefix)
    assert not isinstance(arrival, Unreadable)
    return {"decision_id": arrival.decision_id}


@given(st.permutations(range(8)), st.integers(1, 8), st.integers(0, 200))
def test_a_job_is_found_by_its_decision_while_it_is_among_the_newest(order: list[int], most: int, size: int) -> None:
    arrivals = Arrivals(PARTITIONS, "", most)
    for number in range(8):
        arrivals.add(record(number, size=size))
        assert len(arrivals) <= most
    for number in order:
        found = arrivals.take(decision(record(number, size=size)))
        assert (found is not None) == (number >= 8 - most)
    assert len(arrivals) == 0


def test_many_large_jobs_are_let_go_by_their_bytes() -> None:
    arrivals = Arrivals(PARTITIONS, "", most_bytes=10_000)
    for number in range(100):
        arrivals.add(record(number, size=1_000))
    assert 5 <= len(arrivals) <= 10
    arrivals.add(record(100, size=50_000))
    assert arrivals.take(decision(record(100, size=50_000))) is not None, "one is kept whatever its size"


def test_a_job_answers_its_own_decision_alone() -> None:
    arrivals = Arrivals(PARTITIONS, "")
    arrivals.add(record(1))
    assert arrivals.take({"decision_id": "another"}) is None
    assert arrivals.take(decision(record(1), prefix="other.")) is None, "another installation's"
    assert arrivals.take(decision(record(1))) is not None
    assert arrivals.take(decision(record(1))) is None, "one decision for one record"


def test_records_at_home_elsewhere_and_unreadable_ones_are_passed_over() -> None:
    arrivals = Arrivals(PARTITIONS, "")
    arrivals.add(record(1, partition=(HOME + 1) % PARTITIONS))
    arrivals.add(Record(JOBS.name, HOME, 2, None, b"\xff", (), 1))
    arrivals.add(Record(JOBS.name, HOME, 3, None, None, (), 1))
    assert len(arrivals) == 0


def test_a_dead_letter_driven_again_is_found_under_either_id() -> None:
    """Whether its claim was believed is told by the decision's id."""
    claimed = record(7, told=((headers.REDRIVE, b"1/44"),))
    arrival = read_arrival(claimed, datetime(2026, 11, 22, tzinfo=UTC), PARTITIONS, "")
    assert not isinstance(arrival, Unreadable)
    assert arrival.claim is not None
    again = driven_again(arrival, arrival.claim, "")

    believed, refused = Arrivals(PARTITIONS, ""), Arrivals(PARTITIONS, "")
    believed.add(claimed)
    refused.add(claimed)

    assert believed.take({"decision_id": again.decision_id, "redriven_from": "1/44"}) == again
    assert refused.take({"decision_id": arrival.decision_id}) == replace(arrival, claim=None)
    looked_up = believed.answered(claimed, {"decision_id": again.decision_id, "redriven_from": "1/44"})
    assert looked_up == again
    assert believed.answered(record(8), {"decision_id": arrival.decision_id}) is None
