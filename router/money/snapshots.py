"""A lane's money in a few records, and back: so that a successor need not fold the whole log. Pure but for `newest`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from router.money.ended import Ended
from router.money.reports import COUNTS, Reports
from router.money.reservation import Reservation
from router.money.scope import Payer
from router.money.tenant import TenantMoney, told
from runtime.ports import LaneId, LogReader, Outgoing, Record
from schemas import codec
from schemas.topics import SNAPSHOTS
from schemas.values import frozen

FORM = 1
"""Of `Snapshot.state`; one of another form is not read."""
AT_FIRST, GROWTH = 64, 8
"""Offsets before the end in which a snapshot is looked for, and how much further each time that none is there."""
IDS_A_ROW = 500
ENVELOPE_BYTES = 1_024

Row = list[Any]


@frozen
class Found:
    """A snapshot of which every part is there."""

    snapshot_id: str
    sequence: int
    decisions_from: int
    ledger_next: int
    rows: list[Row]


def rows_of(
    tenants: Mapping[str, TenantMoney], without: Collection[str], ended: Ended, reports: Reports
) -> Iterator[Row]:
    """Everything as rows of plain JSON, but the open reservations of the decisions `without`."""
    yield ["counts", reports.describe()]
    for name in ("ambiguous_charges", "overcharges"):
        for one in getattr(reports, name):
            yield [name, one]
    for tenant, money in tenants.items():
        yield ["windows", tenant, list(money.sums)]
        numbers = {payer: number for number, payer in enumerate(money.payers)}
        for payer in money.payers:
            yield ["payer", tenant, *payer]
        for cell in dict.fromkeys(cell for cells in money.sums.values() for cell in cells):
            spent = {label: told(cells[cell]) for label, cells in money.sums.items() if cell in cells}
            yield ["spent", tenant, numbers[cell[0]], cell[1], cell[2], spent]
        for one in money.open.values():
            if one.decision_id not in without:
                yield ["open", _row(one)]
    ids: list[str] = []
    for decision_id, released in ended:
        if released is None and len(ids) < IDS_A_ROW:
            ids.append(decision_id)
            continue
        yield ["ended", ids]
        ids = [] if released is not None else [decision_id]
        if released is not None:
            yield ["released", _row(released)]
    yield ["ended", ids]


def parts(
    rows: Iterable[Row], lane: LaneId, now: datetime, *, sequence: int, decisions_from: int, ledger_next: int,
    limit_bytes: int,
) -> list[Outgoing]:  # fmt: skip
    """The rows as records (`Snapshot`) of about `limit_bytes` at most, at the lane's own partition."""
    packed: list[list[codec.Fragment]] = [[]]
    room = limit_bytes - ENVELOPE_BYTES
    for row in rows:
        encoded = codec.encode(row)
        if len(encoded) + 1 > room and packed[-1]:
            packed.append([])
            room = limit_bytes - ENVELOPE_BYTES
        packed[-1].append(codec.Fragment(encoded))
        room -= len(encoded) + 1
    common = {
        "lane": str(lane),
        "snapshot_id": f"{sequence}-{ledger_next}-{int(now.timestamp() * 1000)}",
        "parts": len(packed),
        "sequence": sequence,
        "decisions_from": decisions_from,
        "ledger_next": ledger_next,
        "taken_at": now,
        "form": FORM,
    }
    return [
        Outgoing(
            SNAPSHOTS.name,
            f"{lane.partition}/{part}".encode(),
            codec.encode({**common, "part": part, "state": {"rows": packed[part]}}),
            partition=lane.partition,
        )
        for part in range(len(packed))
    ]


async def newest(log: LogReader, partition: int) -> Found | None:
    """The newest snapshot that is whole and of our form, looked for from the end backwards in growing steps."""
    first, end = await log.bounds(SNAPSHOTS.name, partition)
    reach, start = AT_FIRST, end
    while start > first:
        start = max(first, end - reach)
        records = [record async for record in log.read(SNAPSHOTS.name, partition, start, end)]
        found = whole(records)
        if found is not None:
            return found
        reach *= GROWTH
    return None


def whole(records: Iterable[Record]) -> Found | None:
    """The last snapshot in these records of which every part is among them. What is no such record is passed over.

    The parts of one stand in one transaction, so a later one that is not whole here is torn.
    """
    parts: dict[str, dict[int, dict[str, Any]]] = {}
    last: Found | None = None
    for record in records:
        part = _part(record)
        if part is None:
            continue
        known = parts.setdefault(part["snapshot_id"], {})
        known[part["part"]] = part
        if len(known) == part["parts"]:
            rows = [row for number in sorted(known) for row in known[number]["state"]["rows"]]
            last = Found(
                part["snapshot_id"], part["sequence"], part["decisions_from"], part["ledger_next"], rows
            )  # fmt: skip
    return last


def restore(
    rows: Iterable[Row], money_of: Callable[[str], TenantMoney], ended: Ended, reports: Reports
) -> Iterator[Reservation]:
    """Put rows back, and give the reservations that are open. Raises KeyError, TypeError, ValueError or IndexError."""
    payers: dict[str, list[Payer]] = {}
    for kind, *row in rows:
        match kind:
            case "counts":
                for name in (*COUNTS, "since"):
                    setattr(reports, name, row[0][name])
            case "ambiguous_charges" | "overcharges":
                getattr(reports, kind).append(row[0])
            case "windows":
                money_of(row[0]).begin(row[1])
            case "payer":
                payer = Payer(row[1], row[2], _pairs(row[3]))
                payers.setdefault(row[0], []).append(payer)
                money_of(row[0]).payers[payer] = None
            case "spent":
                tenant, number, model, provider, spent = row
                for label, nanousd in spent.items():
                    money_of(tenant).sums[label][payers[tenant][number], model, provider] = nanousd
            case "open":
                yield _read(row[0])
            case "ended":
                ended.add_all(row[0])
            case "released":
                one = _read(row[0])
                ended.add(one.decision_id, one)
            case _:
                raise ValueError(f"a row of {len(str(kind))} characters' kind is none of form {FORM}")


_NAMES = tuple(one.name for one in fields(Reservation))


def _row(one: Reservation) -> dict[str, Any]:
    return {**{name: getattr(one, name) for name in _NAMES}, "payer": list(one.payer), "labels": list(one.labels)}


def _read(row: dict[str, Any]) -> Reservation:
    team, key_id, tags = row["payer"]
    deadline = row["deadline"]
    return Reservation(
        **{
            **{name: row[name] for name in _NAMES},
            "payer": Payer(team, key_id, _pairs(tags)),
            "places": _pairs(row["places"]),
            "estimates": tuple(row["estimates"]),
            "labels": tuple(row["labels"]),
            "decided_at": datetime.fromisoformat(row["decided_at"]),
            "deadline": datetime.fromisoformat(deadline) if deadline else None,
        }
    )


def _pairs(listed: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((one, other) for one, other in listed)


def _part(record: Record) -> dict[str, Any] | None:
    try:
        part = codec.decode(record.value or b"null")
        if part["form"] != FORM or not isinstance(part["state"]["rows"], list):
            return None
        numbers = ("part", "parts", "sequence", "decisions_from", "ledger_next")
        if not all(isinstance(part[name], int) for name in numbers) or not isinstance(part["snapshot_id"], str):
            return None
    except (codec.Undecodable, KeyError, TypeError):
        return None
    return dict(part)
