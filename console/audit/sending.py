"""`novix audit export --hec URL`: a FastStream application with one batch subscriber, manual acknowledgement.

A batch is acknowledged when the collector has taken it. Its group is that of the collector's address, so that each
collector gets everything, and a later run goes on where this one was.
"""

import asyncio
import contextlib
import hashlib
import random
import signal
import ssl
from collections.abc import Sequence

import structlog

from console.audit.batches import Spoilt, read_batch
from console.audit.hec import Hec, Refused, Stopped, events_of
from console.batches import Arrived, Reading, application
from console.exits import CommandError, Exit
from console.kafka import connected
from console.screen import Screen
from runtime.clock import SystemClock
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport, InvalidURL
from runtime.settings import Loaded, Settings, is_plain_address, variable
from schemas.topics import AUDIT

log = structlog.get_logger("novix.audit")

GROUPS = "novix-audit-hec-"
"""How the groups of the collectors begin."""
MAX_RECORDS = 200
GIVE_BACK_S = 120.0
"""After so long in one batch it is given back and read again: a consumer that does not poll is put out of its group."""
LOOK_S = 0.5


class Sending:
    """The subscriber and its state."""

    def __init__(self, settings: Settings, hec: Hec, url: str, index: str) -> None:
        self._hec = hec
        self._index = index
        self._stopping = False
        self.spoilt = self.records = 0
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.group = group_of(url)
        reading = Reading(
            [AUDIT.name],
            self.group,
            "audit to HEC",
            "Every audit entry, for a Splunk HTTP Event Collector.",
            MAX_RECORDS,
        )
        self._app = application(settings, reading, self._take)

    async def start(self) -> None:
        """Connect and go on where this collector was."""
        await self._app.start()

    async def stop(self) -> None:
        """Leave the group. What was not taken is sent by the next run."""
        self._stopping = True
        await self._app.stop()

    async def _take(self, raw: Sequence[Arrived]) -> bool:
        events: list[bytes] = []
        for record in raw:
            try:
                events += events_of(read_batch(record.value), self._index)
            except Spoilt as error:
                self.spoilt += 1
                log.error("audit.spoilt", partition=record.partition, offset=record.offset, reason=str(error))
        loop = asyncio.get_running_loop()
        until = loop.time() + GIVE_BACK_S
        try:
            await self._hec.deliver(events, lambda: self._stopping or loop.time() > until)
        except Stopped:
            return False
        except Refused as error:
            if not self.refused.done():
                self.refused.set_result(str(error))
            return False
        self.records += len(raw)
        return True


def group_of(url: str) -> str:
    """The consumer group of a collector."""
    return f"{GROUPS}{hashlib.sha256(url.encode()).hexdigest()[:12]}"


async def run(loaded: Loaded, url: str, *, acks: bool, index: str, once: bool, ca_file: str = "") -> Exit:
    """Send until SIGTERM; with `once`, until everything there is was taken. Raises `CommandError`."""
    token = loaded.settings.hec_token.get_secret_value()
    if not token:
        raise CommandError(f"{variable('hec_token')} is not set: the collector wants a token", Exit.USAGE)
    if not is_plain_address(url):
        raise CommandError("--hec must be http(s)://host[:port] without user or query", Exit.USAGE)
    try:
        tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
        transport = HttpTransport(Egress([url], private=PRIVATE_NETWORKS), tls=tls)
    except (InvalidURL, ValueError, OSError):
        raise CommandError("--hec or --hec-ca cannot be used: no address, or no certificates", Exit.USAGE) from None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with transport, connected(loaded) as bus:
        if not await bus.reader().partitions(AUDIT.name):
            raise CommandError(f"the topic {AUDIT.name} does not exist; create the topics with: novix topics create")
        hec = Hec(url, token, transport, SystemClock(), random.random, acks=acks, patient=not once)
        sending = Sending(loaded.settings, hec, url, index)
        await sending.start()
        try:
            while not stop.is_set() and not sending.refused.done():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_S)
                if once and not any((await bus.lag(sending.group, AUDIT.name)).values()):
                    break
        finally:
            await sending.stop()
    if sending.refused.done():
        raise CommandError(sending.refused.result())
    Screen().line(f"sent {hec.taken:,} events of {sending.records:,} records; {hec.skipped + sending.spoilt:,} skipped")
    return Exit.FAILED if hec.skipped or sending.spoilt else Exit.OK
