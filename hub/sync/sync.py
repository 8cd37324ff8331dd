"""One round over all sources: read, compare, publish what changed, tell how each source was.

A record is written before it is noted: killed in between, it is written again, and says the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hub.catalog.offers import endpoint_entries, offer_entries, router_entries
from hub.sync import walk
from hub.sync.book import Book, Taken, Written
from hub.sync.client import Asker, SourceDown
from hub.sync.lists import Read, read
from hub.sync.looks import MOST_FAILED, Looker, facts_of
from hub.sync.sides import endpoints_in, newest_catalogue, registry_in
from hub.sync.store import Store
from hub.sync.writing import Small, counted, outgoing
from runtime.ending import end
from runtime.ports import Clock, Outgoing
from schemas.catalog import CatalogEntry, Kind, Source, SourceState
from schemas.registry import RegistryRecord
from schemas.topics import ENDPOINTS, OFFERS, REGISTRY, SOURCES

log = structlog.get_logger("novix.hub")

Publish = Callable[[list[Outgoing]], Awaitable[object]]
AT_A_TIME = 500
"""Records that are on their way to Kafka at once."""
TELL_EVERY_S = 5.0
"""How often an unfinished reading says where it is."""
MOST_LOOKS = 100
"""Closer looks of one round: the next round takes the next."""
FEW = 100
SHARE = 0.2
"""So many entries, or such a share of them, may be gone at once; more are believed when a second full reading lacks
them too: a Hub that tells half its list must not empty the catalogue."""
STALE = timedelta(days=1)
"""An unfinished reading that began so long ago begins anew: what it stands at is broken, or long out of date."""
FORGOTTEN = (400, 404, 410, 416, 422)
"""Answers to a cursor that the Hub does not know any more."""
MOST_PAGES = 100_000
MOST_EMPTY = 10
"""Pages without a row that can be read that name a next one, after each other."""
CUT = "page_cut"
"""Counted among what was refused: pages that broke off, whose other rows are not known."""

_PROGRESS = ("cursor", "reached", "rows", "changed", "refused", "dropped")
"""What of an unfinished reading the one that goes on with it takes over."""


@dataclass
class Report:
    """What a round came to."""

    states: list[SourceState] = field(default_factory=list)
    written: int = 0
    facts: int = 0
    took_s: float = 0.0
    calls: int = 0
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a round shall do."""

    kinds: tuple[Kind, ...] = walk.KINDS
    full: bool | None = None
    """Over all rows; None: when it is time."""
    limit: int | None = None
    """Rows of each kind at most. Such a reading is never complete."""


class Sync:
    """`hub` None: the Hub is not asked; `router` None: nor is the router."""

    def __init__(
        self, store: Store, asker: Asker, publish: Publish, clock: Clock, *, hub: str | None, router: str | None,
        full_every: timedelta, states: dict[str, SourceState] | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self.book = Book(store)
        self.states = {} if states is None else states
        """By key of `novix.sources.v1`."""
        self._asker = asker
        self._publish = publish
        self._clock = clock
        self._hub = hub
        self._router = router
        self._full_every = full_every
        self._looker = Looker(asker, hub) if hub else None
        self._at: dict[str, SourceState] = {}
        """How far each kind was read, page by page."""
        self.written = 0
        self.reading = ""
        """What is being read now."""

    async def round(self, wish: Wish = Wish()) -> Report:
        """Ask every source once. One that is down is told of, and the others go on."""
        began, report, calls, waited = time.monotonic(), Report(), self._asker.calls, self._asker.waited_s
        wanted: set[str] = set(filter(None, (self.store.told("wanted") or "").split("\n")))
        if "model" in wish.kinds:
            wanted |= await self._small("router", self._of_router, report)
            wanted |= await self._small("novix", self._of_offers, report)
            wanted |= await self._small("endpoints", self._of_endpoints, report)
        if self._hub is not None:
            for kind in wish.kinds:
                report.states.append(await self._of_hub(kind, wish, report))
            if "model" in wish.kinds:
                wanted = await self._closer(wanted, report)
        self.store.tell("wanted", "\n".join(sorted(wanted)))
        self.reading = ""
        report.took_s = time.monotonic() - began
        report.calls, report.waited_s = self._asker.calls - calls, self._asker.waited_s - waited
        return report

    async def sides(self) -> Report:
        """What own endpoints and the installation's catalogue say now, and nothing else: they tell of changes."""
        report = Report()
        wanted = await self._small("novix", self._of_offers, report) | await self._small(
            "endpoints", self._of_endpoints, report
        )
        if wanted:
            before = set(filter(None, (self.store.told("wanted") or "").split("\n")))
            self.store.tell("wanted", "\n".join(sorted(before | wanted)))
        self.reading = ""
        return report

    # The Hub's lists

    async def _of_hub(self, kind: Kind, wish: Wish, report: Report) -> SourceState:
        now, old = self._clock.now(), self._known(kind)
        full = walk.is_full(old, now, self._full_every) if wish.full is None else wish.full
        resumed = (
            old is not None and bool(old.cursor) and old.full == full and old.state != "complete" and wish.limit is None
            and old.began_at is not None and now - old.began_at < STALE
        )  # fmt: skip
        state = SourceState(
            source="hub", kind=kind, state="reading", at=now, full=full, began_at=now,
            complete_at=old.complete_at if old else None, full_at=old.full_at if old else None,
            newest=old.newest if old else None,
        )  # fmt: skip
        fresh = state
        if resumed and old is not None:
            state = state.model_copy(update={name: getattr(old, name) for name in ("began_at", *_PROGRESS)})
        self._at[kind] = state
        self.reading = f"hub/{kind}"
        try:
            try:
                state = await self._read(kind, state, old if resumed else None, wish.limit, report)
            except SourceDown as error:
                if not resumed or error.status not in FORGOTTEN or self._at[kind] is not state:
                    raise
                self._at[kind] = fresh
                state = await self._read(kind, fresh, None, wish.limit, report)
        except SourceDown as error:
            log.warning("hub.not_read", kind=kind, reason=str(error))
            # Where it was: the next reading goes on there.
            broken = {"state": "failed", "at": self._clock.now(), "error": str(error)[:500]}
            state = self._at[kind].model_copy(update=broken)
        if wish.limit is None:  # a look at some rows says nothing of how the source stands
            await self._tell(state)
        return state

    def _known(self, kind: Kind) -> SourceState | None:
        """How a list was when it was last told; of another Hub's only that it was read."""
        old = self.states.get(f"hub/{kind}")
        if old is None or self.store.told(f"base/{kind}") in (None, self._hub):
            return old
        return old.model_copy(update={"cursor": None, "newest": None, "full_at": None})

    async def _read(
        self, kind: Kind, state: SourceState, resumed: SourceState | None, limit: int | None, report: Report
    ) -> SourceState:
        assert self._hub is not None  # noqa: S101 - the caller looked
        assert state.began_at is not None  # noqa: S101 - the caller told
        # A look at some rows is no full reading: with a new number, an unfinished one would have lost what it has met.
        number = self._walk_number(kind, state.full and limit is None, is_new=resumed is None)
        size = walk.PAGE if limit is None else max(1, min(walk.PAGE, limit))
        url: str | None = walk.begin(self._hub, kind, resumed, full=state.full, page=size)
        told_at, rows, empty = time.monotonic(), 0, 0
        met: set[int] = set()
        pages = 0
        asked: asyncio.Task[Read] | None = None
        try:
            while url is not None:
                met.add(hash(url))
                answer = await (asked or read(self._asker, kind, url))
                asked, after, strange = None, answer.after, answer.strange
                page = answer.page.rows if limit is None else answer.page.rows[: limit - rows]
                rows += len(page)
                pages += 1
                ids = walk.ids_of(page)
                empty = 0 if ids else empty + 1
                again = bool(ids) and hash(ids) in met  # the same rows under an address that is new each time
                if after is not None and (again or hash(after) in met or pages == MOST_PAGES):
                    after, strange = None, f"its list has no end: {pages} pages, then one that was read already"
                elif after is not None and empty == MOST_EMPTY:
                    after, strange = None, f"its list has no end: {empty} pages after each other have no row to read"
                met.add(hash(ids))
                is_enough = rows == limit or (not state.full and walk.enough(page, state))
                is_last = after is None or is_enough
                # The next page comes while this one is worked on.
                asked = None if is_last or after is None else asyncio.create_task(read(self._asker, kind, after))
                taken = await asyncio.to_thread(self.book.rows, kind, page, self._clock.now(), walk=number)
                taken.refused.update(answer.page.refused)
                taken.rows += answer.page.refused.total()
                taken.refused.update({CUT: 1} if not answer.page.whole else {})
                await self._write(taken.news, number, report)
                await asyncio.to_thread(self.store.seen, taken.same, number)
                latest = max(filter(None, (state.reached, walk.youngest(page, state.began_at))), default=None)
                if strange and not is_enough:
                    # Its rows are taken; where the list goes on is not known, so what is not read is not gone. The
                    # next round reads this page again, and counts it: the first page alone begins a count of its own.
                    self._at[kind] = state if state.cursor else counted(state, taken)
                    raise SourceDown(strange)
                url = None if is_last else after
                news = {"cursor": after, "reached": latest, "at": self._clock.now()}
                state = self._at[kind] = counted(state, taken).model_copy(update=news)
                if limit is None and time.monotonic() - told_at >= TELL_EVERY_S:
                    await self._tell(state)
                    told_at = time.monotonic()
        finally:
            if asked is not None:
                await end(asked)
        if limit is not None:
            return state.model_copy(update={"cursor": None, "reached": None})
        return await self._completed(kind, state, number, report)

    def _walk_number(self, kind: Kind, full: bool, *, is_new: bool) -> int:
        """Of a full reading; 0 for an incremental one, which proves nothing gone."""
        if not full:
            return 0
        number = int(self.store.told(f"walk/{kind}") or 0) + (1 if is_new else 0)
        self.store.tell(f"walk/{kind}", str(max(1, number)))
        return max(1, number)

    async def _completed(self, kind: Kind, state: SourceState, number: int, report: Report) -> SourceState:
        now, gone, error = self._clock.now(), 0, ""
        cut = state.refused.get(CUT, 0)
        if cut:
            error = f"pages broke off, and what stood on them is not known: {cut}; nothing is taken for gone"
        elif state.full:
            refused = sum(state.refused.values())
            if refused > max(FEW, SHARE * state.rows):
                error = f"{refused} of {state.rows} rows could not be read; nothing is taken for gone"
            else:
                gone, error = await self._gone(kind, number, report, met=state.rows - refused)
        newest = max(filter(None, (state.reached, state.newest)), default=None)
        if cut and not state.full:
            newest = state.newest  # the next reading goes over the same once more
        return state.model_copy(
            update={
                "state": "complete", "at": now, "complete_at": now, "cursor": None, "reached": None, "gone": gone,
                "newest": newest, "full_at": state.began_at if state.full else state.full_at, "error": error,
            }
        )  # fmt: skip

    async def _gone(self, kind: Kind, number: int, report: Report, *, met: int) -> tuple[int, str]:
        """Take away what a full reading of `met` rows has not met; how many, or why not."""
        missing = await asyncio.to_thread(lambda: [key for key, _ in self.store.unseen(kind, number)])
        known = self.store.count(kind)
        doubted = self.store.told(f"doubt/{kind}") == "yes"
        if len(missing) > max(FEW, SHARE * known) and not (doubted and met):
            self.store.tell(f"doubt/{kind}", "yes")
            return (
                0,
                f"a full reading lacks {len(missing)} of {known} entries; they stay until the next lacks them too",
            )
        self.store.tell(f"doubt/{kind}", "no")
        taken = await asyncio.to_thread(self.book.gone, missing)
        await self._write(taken.news, 0, report)
        return len(missing), ""

    # The small sources

    async def _small(self, source: Source, ask: Callable[[], Awaitable[Small | None]], report: Report) -> set[str]:
        self.reading = source
        now = self._clock.now()
        try:
            told = await ask()
        except SourceDown as error:
            log.warning("hub.not_read", source=source, reason=str(error))
            old = self.states.get(f"{source}/model") or SourceState(source=source, state="failed", at=now)
            state = old.model_copy(update={"state": "failed", "at": now, "error": str(error)[:500]})
            report.states.append(state)
            await self._tell(state)
            return set()
        if told is None:
            return set()
        wanted: set[str] = set()
        changed = 0
        for name, entries in told.entries.items():
            taken = await asyncio.to_thread(self.book.say, name, entries)
            await self._write(taken.news, 0, report)
            wanted |= taken.wanted
            changed += len(taken.news)
        rows = sum(len(entries) for entries in told.entries.values())
        state = SourceState(
            source=source, state="complete", at=now, complete_at=now, rows=rows, changed=changed, dropped=told.dropped,
            refused=told.refused,
        )  # fmt: skip
        report.states.append(state)
        await self._tell(state)
        return wanted

    async def _of_router(self) -> Small | None:
        if self._router is None:
            return None
        page, _ = await self._asker.page(f"{self._router}/v1/models", under="data")
        if not page.whole:
            raise SourceDown(f"its list breaks off after {len(page.rows)} rows")
        told = Taken()
        entries = router_entries({"data": page.rows}, self._clock.now(), told.dropped) or []
        known = sum("router" in words for words in self.book.words.values())
        if known and not entries:
            raise SourceDown(f"its list of {len(page.rows)} rows names no model that can be read; {known} were known")
        return Small({"router": entries}, dict(told.dropped), dict(page.refused))

    async def _of_offers(self) -> Small | None:
        parts = newest_catalogue(self.store.side(OFFERS.name))
        entries = offer_entries(parts)
        by_source: dict[str, list[CatalogEntry]] = {"novix": [], "local": []}
        for entry in entries:
            by_source[entry.said[0].source].append(entry)
        return Small(by_source) if parts else None

    async def _of_endpoints(self) -> Small | None:
        return Small({"endpoints": endpoint_entries(endpoints_in(self.store.side(ENDPOINTS.name)))})

    # Closer looks

    async def _closer(self, wanted: set[str], report: Report) -> set[str]:
        """Ask for single repositories: those whose own words are needed, and of those that may be used what their
        scanners and cards say. What could not be asked is wanted still."""
        assert self._looker is not None  # noqa: S101 - the caller looked
        registry = registry_in(self.store.side(REGISTRY.name))
        named = {f"model/{name}" for name in registry.models}
        named |= await asyncio.to_thread(self.store.heirs, {*wanted, *self.book.words, *named})
        due = self._looker.due({*wanted, *self.book.words, *named}, wanted, self.book, self._clock.now())
        self.reading = "closer looks"
        failed = 0
        for key in due[:MOST_LOOKS]:
            try:
                found = await self._looker.look(key, self._clock.now(), self.book.looks.get(key))
            except SourceDown as error:
                log.warning("hub.not_looked", reason=str(error))
                failed += 1
                if failed == MOST_FAILED:
                    break
                continue
            failed = 0
            wanted.discard(key)
            if found is None:
                await self._write((await asyncio.to_thread(self.book.without_hub, key)).news, 0, report)
                self.book.looked(key, None, self._clock.now(), b"{}")
                continue
            entry, told = found
            if entry.key == key:  # else it was renamed: the list tells of it under its new name
                self.book.looked(key, entry.revision, self._clock.now(), told)
                await self._write((await asyncio.to_thread(self.book.entry, entry)).news, 0, report)
                kept = self.store.known([key]).get(key)
                entry = entry.model_copy(update={"formerly": () if kept is None else kept.formerly})
            event = facts_of(self.book.looks[key][2], entry, self._clock.now()) if entry.key == key else None
            if event is not None and not registry.says(event):
                record = RegistryRecord(event=event)
                await self._publish(
                    [Outgoing(REGISTRY.name, f"facts/{event.model}".encode(), record.encode(), partition=0)]
                )
                report.facts += 1
        return wanted

    # Writing

    async def _write(self, news: Sequence[Written], number: int, report: Report) -> None:
        for start in range(0, len(news), AT_A_TIME):
            some = news[start : start + AT_A_TIME]
            await self._publish(await asyncio.to_thread(outgoing, some))
            await asyncio.to_thread(self.store.note, some, number)
            report.written += len(some)
            self.written += len(some)

    async def _tell(self, state: SourceState) -> None:
        key = f"{state.source}/{state.kind}"
        self.states[key] = state
        await self._publish([Outgoing(SOURCES.name, key.encode(), state.encode(), partition=0)])
        if state.source == "hub" and self._hub is not None:
            self.store.tell(f"base/{state.kind}", self._hub)
