"""What a lane shows of itself: to the judge of its progress, and on /healthz."""

from datetime import datetime

from runtime.runner import LaneRunner
from runtime.vitals import Signs


def signs_of(runner: LaneRunner, *, room: bool) -> Signs:
    """What the lane shows now; `room`: the process has room for another record."""
    lane, works = runner.lane, runner.works.values()
    reached = lane.tracker.received if lane is not None else runner.base
    highest = runner.pulse.signs.read if runner.pulse.signs is not None else 0
    return Signs(
        unread=reached is not None and runner.end is not None and reached < runner.end and not runner.stopped,
        may_read=lane is None or (room and not lane.paused),
        full=lane is not None and lane.full,
        running=sum(work.done is None and not work.resting for work in works),
        waiting=sum(work.done is not None for work in works) - (len(lane.held_back) if lane is not None else 0),
        read=max(highest, reached or 0),
        finished=runner.finished,
        committed=runner.committed,
    )


def shown(runner: LaneRunner, now: datetime) -> dict[str, str | int | float | None]:
    """The lane's state for /healthz. `lag` counts offsets, markers among them; `quiet_s` is the longest time for which
    something that has work brought nothing about."""
    lane, works, pulse = runner.lane, runner.works.values(), runner.pulse
    oldest = min((work.delivery.arrived_at for work in works if work.done is None), default=None)
    done = lane.tracker.committable() if lane is not None else runner.base
    return {
        "lane": str(runner.id),
        "state": "stopped" if runner.stopped else "stuck" if pulse.stuck else "open" if lane else "opening",
        "reason": runner.stopped or runner.hindrance or pulse.reason,
        "committable": lane.tracker.committable() if lane else None,
        "open": lane.tracker.open if lane else None,
        "uncommitted": len(lane.pending) + len(lane.held_back) if lane else None,
        "works": len(works),
        "resting": sum(work.resting for work in works),
        "behind_their_key": lane.queues.waiting if lane else 0,
        "lag": max(0, runner.end - done) if runner.end is not None and done is not None else None,
        "oldest_s": round((now - oldest).total_seconds(), 3) if oldest is not None else None,
        "quiet_s": round(pulse.quiet_s, 3),
        "rebuilds": runner.rebuilds,
    }
