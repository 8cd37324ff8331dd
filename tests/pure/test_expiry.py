"""Which jobs have ended, by where their records lie: a bit for each result, whatever the blobs that they name."""

from hypothesis import given
from hypothesis import strategies as st

from console.expiry import BLOCK, Ended, Needs
from runtime.ports import Record
from schemas import codec
from schemas.topics import JOBS, RESULTS

DIGEST = "a" * 64
PLACES = st.tuples(st.integers(0, 3), st.integers(0, 3 * BLOCK) | st.integers(2**40, 2**40 + BLOCK))


def job(offset: int) -> Record:
    value = {"id": "a", "input": {"inputs": {"$ref": {"sha256": DIGEST}}}}
    return Record(JOBS.name, 0, offset, b"default", codec.encode(value), (), 0)


def result(offset: int) -> Record:
    value = {"received": {"partition": 0, "offset": offset}}
    return Record(RESULTS.name, 0, offset, b"default/a", codec.encode(value), (), 0)


@given(st.sets(PLACES, max_size=30), st.sets(PLACES, max_size=30))
def test_exactly_the_places_that_were_added_have_ended(ended: set[tuple[int, int]], others: set[tuple[int, int]]):
    known = Ended()
    for at in ended:
        known.add(at)

    assert {at for at in ended | others if at in known} == ended


def test_a_blob_that_every_job_names_is_held_once_however_many_have_ended():
    needs = Needs(frozenset([DIGEST]))
    for offset in range(2 * BLOCK):
        needs.take(result(offset))
    for offset in range(2 * BLOCK):
        needs.take(job(offset))

    assert needs.needed == set()
    assert len(needs._ended._bits) == 2, "two numbers tell all of them"

    needs.take(job(2 * BLOCK))
    assert needs.needed == {DIGEST}
