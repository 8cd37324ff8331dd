"""Ends of reservations on their way into the ledger: each at the partition where its money was reserved."""

from datetime import timedelta

from worker_world import START, assigned, candidate, result_of

from schemas import codec
from schemas.assignment import Reserved
from schemas.failure import FailureKind
from schemas.topics import LEDGER
from workers.assigned import Assigned, read_assigned
from workers.attempt import failed_attempt
from workers.ending import Ending, ended
from workers.errors import ProviderError
from workers.progress import Progress
from workers.settlement import Settled, sealed

RESERVED = Reserved(nanousd=100, quoted_nanousd=None, home=2, policy="balanced", price_version="1")


def test_each_end_goes_to_the_home_of_its_own_reservation() -> None:
    """One transaction of a worker ends jobs of tenants of several homes."""
    ends = [Settled(2, b'{"n":1}'), Settled(0, b'{"n":2}'), Settled(2, b'{"n":3}')]

    batches = sealed("novix-worker-text.inference.text.v1.0", ends, 10_000)

    told = {one.partition: [entry["n"] for entry in codec.decode(one.value or b"")["entries"]] for one in batches}
    assert told == {2: [1, 3], 0: [2]}
    assert {(one.topic, one.key) for one in batches} == {(LEDGER.name, b"2"), (LEDGER.name, b"0")}


def test_a_call_that_may_have_been_charged_is_told_of_although_its_price_is_nothing() -> None:
    """A free model's call whose answer was lost: the ledger has it as a charge of 0."""
    job = read_assigned(assigned(candidate(ceiling_nanousd=0), reserved=RESERVED))
    assert isinstance(job, Assigned)
    lost = ProviderError(FailureKind.TIMEOUT, "no answer came")
    progress = failed_attempt(Progress(START), job.candidates[0], lost, START, timedelta(seconds=1))
    done = ended(job, progress, Ending(FailureKind.TIMEOUT, "no answer came"), now=START + timedelta(seconds=2))

    (fact,) = done.facts
    assert fact.settled is not None
    told = codec.decode(fact.settled.encoded)
    assert told["kind"] == "settle"
    assert [(one["nanousd"], one["ambiguous"], one["attempt"]) for one in told["charges"]] == [(0, True, 1)]


def test_a_result_that_no_record_can_hold_still_tells_what_was_changed_of_the_input() -> None:
    job = read_assigned(assigned())
    assert isinstance(job, Assigned)
    adapted = {"n": {"asked": 3, "given": 1, "bound_by": "one call gives one answer"}}
    done = ended(job, Progress(START), Ending(output={"text": "long"}, adapted=adapted), now=START)
    assert done.shrunk is not None

    result = result_of(done.shrunk(9_000_000))

    assert result.error is not None
    assert result.error.kind is FailureKind.OUTPUT_TOO_LARGE
    assert result.adapted == adapted == result_of(done).adapted
