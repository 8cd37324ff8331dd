"""When a lane commits: at once when it has been idle, in growing groups when it is busy."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Cadence:
    """A transaction costs 1 to 3 ms of CPU whatever it holds, a record in it 20 to 30 us: so busy lanes wait."""

    longest: timedelta = timedelta(milliseconds=200)
    shortest: timedelta = timedelta(milliseconds=5)
    """Between two transactions of one producer: without a pause the broker answers CONCURRENT_TRANSACTIONS."""
    many: int = 500
    """Settled records that are committed without waiting."""

    def wait(self, previous: timedelta, committed: int, since_last: timedelta) -> timedelta:
        """How long to let settled records gather before the next transaction.

        `previous` is the last wait, `committed` how many records it gathered, `since_last` the time since that
        transaction ended. An idle lane waits nothing; the wait doubles while it gathers more than one record a wait,
        and halves when it does not.
        """
        if since_last > self.longest:
            return timedelta(0)
        if committed <= 1:
            return max(self.shortest, previous / 2)
        return min(self.longest, max(self.shortest, previous * 2))
