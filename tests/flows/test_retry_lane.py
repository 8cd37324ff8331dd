"""A retry lane's records in virtual time: when they move, where to, and what a wish to cancel changes."""

import asyncio
import gc
from dataclasses import replace
from datetime import datetime, timedelta

from virtual_time import NOON, LoopClock, run

from console.letters import Redrive
from console.redriving import Pace
from runtime import later
from runtime.cancels import Cancels
from runtime.outcome import GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Delivery, LaneId, Lease, Outgoing, Record, Resumed
from runtime.retrying import RetryApplication, RetryLane
from schemas import headers
from schemas.control import ControlEvent
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.topics import CONTROL, RETRY_TIERS, TEXT, Topic

FIVE, SIXTY, SIX_HUNDRED = (topic for _, topic in RETRY_TIERS)
START = NOON
IDENTITY = ("acme", "a/1", 2)
TRACE = (headers.TRACEPARENT, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
COMING: Headers = (TRACE, (headers.IDENTITY, b"acme/a/1/2"), ("x-mine", b"1"))
VALUE = b"never looked at: \xff"


class SetBack(LoopClock):
    """A clock whose wall time is set back after a while; its monotonic time goes on."""

    def __init__(self, after: timedelta, by: timedelta) -> None:
        self._after, self._by = after, by

    def now(self) -> datetime:
        now = super().now()
        return now - self._by if now >= START + self._after else now


def waiting(wait: timedelta, tier: Topic = SIXTY, offset: int = 5) -> Record:
    """A record as a worker's lane wrote it at the start."""
    assigned = Record(TEXT.name, 0, 7, b"acme/a/1", b"{}", COMING, 0)
    sent = later.postponed(
        assigned, VALUE, not_before=START + wait, now=START, attempt=2, cause="rate_limited", back_to=TEXT.name
    )
    return Record(tier.name, 0, offset, sent.key, sent.value, sent.headers, later.milliseconds(START))


async def lane_of(tier: Topic, clock: LoopClock, cancels: Cancels) -> RetryLane:
    app = RetryApplication(tier, clock, cancels)
    return await app.open_lane(LaneId(app.group, app.topic, 0), None, Resumed(0))  # type: ignore[arg-type]


async def settled(lane: RetryLane, record: Record, clock: LoopClock) -> Outcome:
    """The record's outcome as the engine brings it about: rests pass in memory, a poke ends them."""
    poked = asyncio.Event()
    delivery = Delivery(record, clock.now(), lease=Lease(poke=poked.set))
    while True:
        outcome = await lane.handle(delivery)
        if not isinstance(outcome, RetryAt):
            return outcome
        assert lane.postpone(delivery, outcome) is None
        rest = (outcome.when - clock.now()).total_seconds()
        with_poke = [asyncio.ensure_future(clock.sleep(rest)), asyncio.ensure_future(poked.wait())]
        await asyncio.wait(with_poke, return_when=asyncio.FIRST_COMPLETED)
        for one in with_poke:
            one.cancel()
        delivery = replace(delivery, attempt=delivery.attempt + 1, memo=outcome.memo)


def moved(outcome: Outcome) -> Outgoing:
    assert isinstance(outcome, Publish)
    (record,) = outcome.records
    return record


def wish(identity: tuple[str, str, int] = IDENTITY, at: datetime = NOON) -> Record:
    tenant, job_id, submission = identity
    event = ControlEvent(action="cancel", tenant=tenant, job_id=job_id, submission=submission, at=at)
    return Record(CONTROL.name, 0, 0, None, event.encode(), (), 0)


def test_a_record_goes_back_when_it_is_due_with_key_and_value_untouched_and_its_wait_taken_off():
    async def story() -> None:
        clock = LoopClock()
        began = clock.monotonic()
        outcome = await settled(await lane_of(SIXTY, clock, Cancels()), waiting(timedelta(seconds=20)), clock)

        assert 20 <= clock.monotonic() - began < 20.1
        back = moved(outcome)
        assert (back.topic, back.key, back.value) == (TEXT.name, b"acme/a/1", VALUE)
        assert set(back.headers) == set(COMING)
        assert isinstance(outcome, Publish)
        (entry,) = outcome.audit
        assert (entry.action, entry.tenant, entry.job_id, entry.submission) == ("job.returned", *IDENTITY)
        assert entry.trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert entry.detail == {
            "from": SIXTY.name, "to": TEXT.name, "cause": "rate_limited", "calls": 2, "rested_ms": 20_000,
        }  # fmt: skip

    run(story())


def test_a_record_that_is_read_late_goes_back_at_once():
    async def story() -> None:
        clock = LoopClock()
        await clock.sleep(100)
        began = clock.monotonic()
        back = moved(await settled(await lane_of(SIXTY, clock, Cancels()), waiting(timedelta(seconds=20)), clock))

        assert back.topic == TEXT.name
        assert clock.monotonic() - began < 0.1

    run(story())


def test_a_wait_longer_than_every_tier_is_passed_in_several_and_ends_when_it_should():
    async def story() -> list[str]:
        clock, record, way = LoopClock(), waiting(timedelta(seconds=1_203), SIX_HUNDRED), []
        tier = SIX_HUNDRED
        while tier.name != TEXT.name:
            went = moved(await settled(await lane_of(tier, clock, Cancels()), record, clock))
            way.append(went.topic)
            if went.topic != TEXT.name:
                assert dict(went.headers)[headers.ATTEMPT] == b"2", "the calls that were made"
            written = later.milliseconds(clock.now())
            record = Record(went.topic, 0, 9, went.key, went.value, went.headers, written)
            tier = next((topic for _, topic in RETRY_TIERS if topic.name == went.topic), TEXT)
        assert timedelta(seconds=1_203) <= clock.now() - START < timedelta(seconds=1_204)
        assert set(record.headers) == set(COMING)
        return way

    assert run(story()) == [SIX_HUNDRED.name, FIVE.name, TEXT.name]


def test_a_clock_that_is_set_back_does_not_hold_a_record_longer():
    async def story() -> None:
        clock = SetBack(timedelta(seconds=10), timedelta(hours=1))
        began = clock.monotonic()
        back = moved(await settled(await lane_of(SIXTY, clock, Cancels()), waiting(timedelta(seconds=20)), clock))

        assert back.topic == TEXT.name
        assert 20 <= clock.monotonic() - began < 20.1

    run(story())


def test_a_clock_that_was_set_back_before_it_is_read_holds_a_record_for_a_tiers_length_at_most():
    async def story() -> None:
        clock = SetBack(timedelta(0), timedelta(hours=1))
        began = clock.monotonic()
        back = moved(await settled(await lane_of(SIXTY, clock, Cancels()), waiting(timedelta(seconds=20)), clock))

        assert back.topic == TEXT.name
        assert 59 <= clock.monotonic() - began < 60.1

    run(story())


def test_a_record_whose_timestamp_is_no_instant_of_this_era_goes_back_when_it_is_due():
    async def story() -> None:
        clock, record = LoopClock(), waiting(timedelta(seconds=20))
        began = clock.monotonic()
        strange = replace(record, timestamp_ms=2**63 - 1)

        assert moved(await settled(await lane_of(SIXTY, clock, Cancels()), strange, clock)).topic == TEXT.name
        assert clock.monotonic() - began < 20.1

    run(story())


def test_a_wish_that_is_older_than_the_window_is_none_for_a_job_that_waits_now():
    async def story() -> None:
        clock, cancels = LoopClock(), Cancels(timedelta(hours=1))
        cancels.fold(wish(at=START - timedelta(hours=2)))
        began = clock.monotonic()
        await settled(await lane_of(SIXTY, clock, cancels), waiting(timedelta(seconds=20)), clock)

        assert clock.monotonic() - began >= 20

    run(story())


def test_a_wish_that_counted_when_the_record_was_written_still_does_when_it_is_read():
    """The window is that of the job's publication: it does not move on while the job waits."""

    async def story() -> None:
        clock, cancels = LoopClock(), Cancels(timedelta(hours=1))
        cancels.fold(wish(at=START - timedelta(minutes=59)))
        await clock.sleep(120)
        began = clock.monotonic()
        await settled(await lane_of(SIX_HUNDRED, clock, cancels), waiting(timedelta(seconds=500), SIX_HUNDRED), clock)

        assert clock.monotonic() - began < 0.1

    run(story())


def test_a_job_that_is_cancelled_while_it_waits_goes_back_at_once_and_no_other_does():
    async def story() -> None:
        clock, cancels = LoopClock(), Cancels()
        lane = await lane_of(SIXTY, clock, cancels)
        cancelled = asyncio.ensure_future(settled(lane, waiting(timedelta(seconds=50)), clock))
        other = waiting(timedelta(seconds=50), offset=6)
        named = replace(other, headers=tuple(h for h in other.headers if h[0] != headers.IDENTITY))
        stays = asyncio.ensure_future(settled(lane, named, clock))
        await clock.sleep(7)
        began = clock.monotonic()
        cancels.fold(wish())

        outcome = await cancelled
        assert clock.monotonic() - began < 0.1
        assert moved(outcome).topic == TEXT.name
        assert isinstance(outcome, Publish)
        assert outcome.audit[0].detail["cancelled"] is True
        assert not stays.done()
        assert moved(await stays).topic == TEXT.name

    run(story())


def test_a_job_that_was_cancelled_before_its_record_is_read_does_not_rest():
    async def story() -> None:
        clock, cancels = LoopClock(), Cancels()
        cancels.fold(wish())
        began = clock.monotonic()

        outcome = await settled(await lane_of(SIX_HUNDRED, clock, cancels), waiting(timedelta(seconds=900)), clock)

        assert moved(outcome).topic == TEXT.name
        assert clock.monotonic() - began < 0.1

    run(story())


def test_another_submissions_cancel_is_nobodys_here():
    async def story() -> None:
        clock, cancels = LoopClock(), Cancels()
        cancels.fold(wish(("acme", "a/1", 1)))
        began = clock.monotonic()
        await settled(await lane_of(SIXTY, clock, cancels), waiting(timedelta(seconds=20)), clock)

        assert clock.monotonic() - began >= 20

    run(story())


def test_no_lease_is_held_on_to_once_its_record_is_done_or_somebody_elses():
    async def story() -> None:
        clock, cancels = LoopClock(), Cancels()
        lane = await lane_of(SIXTY, clock, cancels)
        for number in range(20):
            await settled(lane, waiting(timedelta(seconds=1), offset=number), clock)
        assert cancels._held == {}

        lost = Delivery(waiting(timedelta(seconds=50)), clock.now())
        assert isinstance(await lane.handle(lost), RetryAt)
        assert len(cancels._held) == 1
        del lost  # its partition is another process's
        gc.collect()
        assert cancels._held == {}

    run(story())


def test_a_record_that_is_none_of_ours_becomes_a_dead_letter_with_a_reason_that_holds_nothing_of_it():
    async def story() -> None:
        clock = LoopClock()
        lane = await lane_of(FIVE, clock, Cancels())
        good = waiting(timedelta(seconds=2), FIVE)
        for forged in (
            (),
            tuple(h for h in good.headers if h[0] != headers.NOT_BEFORE),
            tuple((n, b"canary" if n == headers.RETURN_TO else v) for n, v in good.headers),
            tuple((n, FIVE.name.encode() if n == headers.RETURN_TO else v) for n, v in good.headers),
        ):
            outcome = await settled(lane, replace(good, headers=forged), clock)
            assert isinstance(outcome, GiveUp)
            assert outcome.kind is FailureKind.UNDECODABLE
            assert "canary" not in outcome.message

    run(story())


# the pace of a redrive


class Counting:
    """A log that notes when what is published."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    async def publish(self, records: list[Outgoing]) -> list[tuple[int, int]]:
        self.moments += [asyncio.get_running_loop().time()] * len(records)
        return [(0, 0)] * len(records)


def test_a_redrive_never_has_more_in_a_second_than_its_rate():
    async def story() -> None:
        for rate, jobs in ((1, 5), (50, 240), (1_000, 3_000)):
            log, pace = Counting(), Pace(rate)
            for number in range(jobs):
                if pace.full(Redrive("acme", f"j{number}", Outgoing("jobs", b"acme", b"{}"))):
                    await pace.publish(log)  # type: ignore[arg-type]
            await pace.publish(log)  # type: ignore[arg-type]

            assert len(log.moments) == jobs
            group = max(1, min(200, rate // 5))
            for moment in log.moments:
                assert sum(moment <= other < moment + 1 for other in log.moments) <= rate + group
            assert log.moments[-1] - log.moments[0] >= (jobs - 2 * group) / rate

    run(story())
