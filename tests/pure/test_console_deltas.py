"""What a person sees of a stream: each piece once, in order, and that a call was begun anew."""

from console.deltas import MOST_JOBS, Streams
from runtime.ports import Record
from schemas.delta import Delta


def record(number: int, text: str = "x", *, attempt: int = 1, job: str = "a1", submission: int = 1) -> Record:
    delta = Delta(
        tenant="acme", job_id=job, submission=submission, attempt=attempt, number=number, text=text, model="m",
        provider="p",
    )  # fmt: skip
    return Record("inference.deltas.v1", 0, number, f"acme/{job}".encode(), delta.encode(), (), 0)


def texts(streams: Streams, *records: Record) -> list[str]:
    return [piece.text for one in records if (piece := streams.take(one)) is not None]


def test_pieces_come_in_order_and_a_record_that_comes_twice_is_shown_once() -> None:
    first, second = record(0, "Hel"), record(1, "lo")
    assert texts(Streams(), first, second, first, second) == ["Hel", "lo"]


def test_a_call_that_begins_anew_says_so_and_late_pieces_of_the_one_before_are_left_out() -> None:
    streams = Streams()
    assert texts(streams, record(0, "Hal")) == ["Hal"]

    piece = streams.take(record(0, "Hel", attempt=2))
    assert piece is not None
    assert (piece.text, piece.again, piece.gap) == ("Hel", True, False)
    assert streams.take(record(1, "lo", attempt=1)) is None


def test_a_missing_piece_is_told() -> None:
    streams = Streams()
    streams.take(record(0))
    piece = streams.take(record(2))
    assert piece is not None
    assert (piece.again, piece.gap) == (False, True)

    late = Streams().take(record(3))
    assert late is not None
    assert (late.again, late.gap) == (False, True)


def test_what_is_no_delta_is_passed_over_and_control_characters_do_not_reach_the_terminal() -> None:
    streams = Streams()
    for value in (b"", b"{}", b"[]", b"\xff", None):
        assert streams.take(Record("inference.deltas.v1", 0, 0, None, value, (), 0)) is None
    assert "\x1b" not in texts(streams, record(0, "\x1b[31mred"))[0]


def test_memory_is_bounded_however_many_jobs_stream() -> None:
    streams = Streams()
    for at in range(MOST_JOBS + 10):
        streams.take(record(0, job=f"j{at}"))
    assert len(streams._seen) == MOST_JOBS
