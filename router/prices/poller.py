"""The price book's eyes: looks at the sources from time to time and writes what is new to `novix.prices.v1`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

from router.catalogue import Catalogue, addresses
from router.prices import tables
from router.prices.book import Key, PriceBook
from router.prices.intake import absent, key_of, news, withdrawn
from router.prices.listing import NoListing, parse, read_models
from router.prices.rule import ROUTER
from runtime.clock import SystemClock
from runtime.ending import end
from runtime.ports import Clock, Outgoing
from runtime.settings import Settings
from schemas.assignment import Price
from schemas.prices import PriceEvent
from schemas.topics import PRICES

if TYPE_CHECKING:
    from runtime.http import AsyncBaseTransport

log = structlog.get_logger("novix.prices")

Publish = Callable[[list[Outgoing]], Awaitable[object]]

MOST_BYTES = 8_388_608
"""Of a price list. In October 2026 it had some 200 kB."""
LOOK_S = 30.0
"""The whole of one request."""
AGAIN_S = 60.0
"""After a look that brought nothing, if the next is not due before."""
AT_A_TIME = 100
"""Statements that are judged before the loop may do something else."""


class Poller:
    """`async with Poller(settings, book, catalogue):` looks at once and then every `prices_poll_s`, in a task.

    `book` is folded by somebody else, who follows the topic; the poller only reads it. It writes what is news, so two
    pollers that see the same list write at worst the same statements, which change nothing. What a list names no more
    is withdrawn once the next look does not find it either. Whatever a source answers, and however long it takes, the
    work of others goes on: nothing is raised, what was not understood is logged by its size, and prices stay as they
    were. The list is public: no credential is sent. With `prices_poll_s` 0, or without a router's address, nothing is
    looked at.
    """

    def __init__(
        self,
        settings: Settings,
        book: PriceBook,
        catalogue: Catalogue,
        *,
        clock: Clock | None = None,
        http: "AsyncBaseTransport | None" = None,
        publish: Publish | None = None,
    ) -> None:
        self._settings = settings
        self._book = book
        self._rows = rows_of(catalogue)
        self._clock = clock or SystemClock()
        self._http = http
        self._publish = publish or self._to_kafka
        self._missing: set[Key] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Poller":
        if self._settings.prices_poll_s and self._settings.hf_router_url:
            if self._http is None:
                from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport

                self._http = HttpTransport(Egress([self._settings.hf_router_url], private=PRIVATE_NETWORKS))
            self._task = asyncio.create_task(self._run(), name="prices")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await end(self._task)
        if self._http is not None:
            await self._http.aclose()

    async def _run(self) -> None:
        every, tables_told = self._settings.prices_poll_s, False
        while True:
            pause = every
            try:
                if not tables_told:
                    await self.tell_tables()
                    tables_told = True
                await self.look()
            except NoListing as error:
                log.warning("prices.not_read", reason=str(error))
                pause = min(every, AGAIN_S)
            except Exception as error:  # the broker, the network: it is tried again
                log.warning("prices.not_read", reason=type(error).__name__)
                pause = min(every, AGAIN_S)
            await self._clock.sleep(pause)

    async def tell_tables(self) -> list[PriceEvent]:
        """Write what the tables that come with the installation say and the book does not have; returns it.

        Where only the sandbox is served, prices at Hugging Face are of no use and not told. A table says nothing of
        what the catalogue prices itself.
        """
        now, told = self._clock.now(), []
        if addresses(self._settings)["huggingface"] is not None:
            told = [one for one in await asyncio.to_thread(tables.genai, now) if key_of(one) not in self._rows]
        return await self._tell([*told, *tables.endpoints(now)], is_live_source=False)

    async def look(self) -> list[PriceEvent]:
        """Look at the router's list once, and write what is new; returns it.

        Raises `NoListing`, httpx's transport errors, and Kafka's.
        """
        body = await self._fetched()
        seen_at = self._clock.now()
        told = await asyncio.to_thread(_read, body, seen_at)
        missing = absent(self._book, told, ROUTER)
        gone = sorted(missing & self._missing)
        withdrawals = [withdrawn(told[0], key) for key in gone]
        written = await self._tell([*told, *withdrawals], is_live_source=True)
        self._missing = missing
        return written

    async def _fetched(self) -> bytes:
        from runtime.http import DEADLINE, MAX_BYTES, Request

        assert self._http is not None  # noqa: S101 - made on entry
        url = f"{self._settings.hf_router_url.rstrip('/')}/v1/models"
        timeout = {"connect": LOOK_S, "read": LOOK_S, "write": LOOK_S, "pool": LOOK_S}
        request = Request(
            "GET",
            url,
            headers=[("accept", "application/json"), ("user-agent", "novix")],
            extensions={"timeout": timeout, DEADLINE: LOOK_S, MAX_BYTES: MOST_BYTES},
        )
        response = await self._http.handle_async_request(request)
        try:
            if response.status_code != 200:
                raise NoListing(f"status {response.status_code}")
            return await response.aread()
        finally:
            await response.aclose()

    async def _tell(self, told: list[PriceEvent], *, is_live_source: bool) -> list[PriceEvent]:
        found: list[PriceEvent] = []
        for start in range(0, len(told), AT_A_TIME):
            found += news(
                self._book,
                told[start : start + AT_A_TIME],
                hold_factor=self._settings.price_hold_factor,
                rows=self._rows,
                is_live_source=is_live_source,
            )
            await asyncio.sleep(0)
        if found:
            await self._publish([record_of(event) for event in found])
        log.info(
            "prices.looked", told=len(told), written=len(found), held=sum(event.state == "held" for event in found)
        )
        return found

    async def _to_kafka(self, records: list[Outgoing]) -> None:
        from runtime.bus import Bus

        async with Bus(self._settings) as bus:  # news are rare: no connection is kept for them
            await bus.publish(records)


def rows_of(catalogue: Catalogue) -> Mapping[Key, Price]:
    """The prices that a catalogue's own rows name."""
    return {
        (offer.provider, offer.model, offer.price.service_tier): offer.price
        for offer in catalogue.offers
        if offer.price is not None and offer.price.is_known
    }


def record_of(event: PriceEvent) -> Outgoing:
    """A statement as it is written: in the topic's one partition, whose order counts."""
    key = f"{event.provider}/{event.model}/{event.service_tier}"
    return Outgoing(PRICES.name, key.encode(), event.encode(), partition=0)


def _read(body: bytes, seen_at: datetime) -> list[PriceEvent]:
    return read_models(parse(body), seen_at)
