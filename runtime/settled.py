"""What a partition holds once the transactions that are open in it now have ended.

A reader with read_committed sees nothing behind one that is open, be it another producer's.
"""

import structlog

from runtime.ports import Clock, LogReader

log = structlog.get_logger("novix.reader")

UNSETTLED_S = 15.0
"""How long open transactions are waited for. Ours end after ten seconds at most (`transaction.py`); one that hangs for
longer must not keep everybody waiting."""
LOOK_AGAIN_S = 0.05


async def settled(reader: LogReader, topic: str, partition: int, clock: Clock) -> tuple[int, int, int]:
    """First offset, end, and how many offsets behind that end are still undecided: 0, unless a transaction was open for
    longer than `UNSETTLED_S`, which is logged."""
    written, until = await reader.log_end(topic, partition), clock.monotonic() + UNSETTLED_S
    while True:
        first, upper = await reader.bounds(topic, partition)
        if upper >= written:
            return first, upper, 0
        if clock.monotonic() >= until:
            log.warning("reader.unsettled", topic=topic, partition=partition, undecided=written - upper)
            return first, upper, written - upper
        await clock.sleep(LOOK_AGAIN_S)
