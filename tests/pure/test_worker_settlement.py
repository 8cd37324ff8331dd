"""Ends of reservations on their way into the ledger: each at the partition where its money was reserved."""

from schemas import codec
from schemas.topics import LEDGER
from workers.settlement import Settled, sealed


def test_each_end_goes_to_the_home_of_its_own_reservation() -> None:
    """One transaction of a worker ends jobs of tenants of several homes."""
    ends = [Settled(2, b'{"n":1}'), Settled(0, b'{"n":2}'), Settled(2, b'{"n":3}')]

    batches = sealed("novix-worker-text.inference.text.v1.0", ends, 10_000)

    told = {one.partition: [entry["n"] for entry in codec.decode(one.value or b"")["entries"]] for one in batches}
    assert told == {2: [1, 3], 0: [2]}
    assert {(one.topic, one.key) for one in batches} == {(LEDGER.name, b"2"), (LEDGER.name, b"0")}
