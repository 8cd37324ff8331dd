"""Records that alert rules are asked of, and a watch over them without a broker."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from console.alerting.crossings import Told
from console.alerting.measures import Measures
from runtime.ports import Record
from schemas import codec, headers
from schemas.accounts import AccountRecord
from schemas.alerts import Alert
from schemas.breakers import BreakerState
from schemas.ledger import Charge, LedgerBatch, LedgerEntry
from schemas.policies import AlertRule, PolicyRecord
from schemas.prices import PriceEvent
from schemas.topics import BREAKERS, BUDGETS, DECISIONS, DLQ, LEDGER, POLICIES, PRICES, RESULTS, Topic

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CENT = 10_000_000
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Watched:
    """Measures and what was told, at an hour that the test turns."""

    now: datetime = NOON
    measures: Measures = field(default_factory=lambda: Measures(0.2))
    told: Told = field(default_factory=Told)
    written: list[Alert] = field(default_factory=list)
    log: list[Record] = field(default_factory=list)
    """Everything that was folded: for another watch that begins anew."""
    _offsets: dict[str, int] = field(default_factory=dict)

    def give(self, topic: Topic, value: bytes, *, key: bytes | None = None, **more: Any) -> None:
        """A record of now."""
        offset = self._offsets.get(topic.name, 0)
        self._offsets[topic.name] = offset + 1
        at_ms = int((more.pop("at", None) or self.now).timestamp() * 1000)
        self.take(Record(topic.name, 0, offset, key, value, more.get("headers", ()), at_ms))

    def take(self, record: Record) -> None:
        self.log.append(record)
        fold = next(fold for topic, fold in self.measures.folds.items() if topic.name == record.topic)
        fold(record)

    def look(self, on: str | None = None) -> list[Alert]:
        """What a look tells now; of one measure, if it is named."""
        alerts = self.measures.look(self.told, self.now)
        for alert in alerts:
            self.told.note(alert)
        self.written += alerts
        return [alert for alert in alerts if on in (None, alert.on)]

    def later(self, span: timedelta) -> "Watched":
        self.now += span
        return self

    # what happens

    def account(self, kind: str, **fields: Any) -> None:
        event = {"kind": kind, "at": self.now, **fields}
        self.give(BUDGETS, AccountRecord.model_validate({"event": event}).encode())

    def rule(self, rule_id: str, on: str, **fields: Any) -> None:
        rule = AlertRule.model_validate({"id": rule_id, "on": on, "at": self.now, **fields})
        self.give(POLICIES, PolicyRecord(event=rule).encode())

    def tier(self, tier: str, **fields: Any) -> None:
        event = {"kind": "tier", "tier": tier, "at": self.now, **fields}
        self.give(POLICIES, PolicyRecord.model_validate({"event": event}).encode())

    def decided(
        self, job: str, nanousd: int, *, tenant: str = "acme", budgets: tuple[tuple[str, str, int], ...] = (),
        deadline: datetime | None = None,
    ) -> None:  # fmt: skip
        """A reservation; of each budget its id, window and what was spent of it then."""
        held = [
            {"id": name, "window": window, "limit_nanousd": 0, "spent_nanousd": spent, "reserved_nanousd": 0}
            for name, window, spent in budgets
        ]
        row = {
            "decision_id": f"d-{job}", "tenant": tenant, "job_id": job, "submission": 1, "verdict": "assigned",
            "reserve": {"nanousd": nanousd, "budgets": held}, "decided_at": self.now, "deadline": deadline,
        }  # fmt: skip
        self.give(DECISIONS, codec.encode({"lane": "a", "sequence": 1, "decisions": [row]}))

    def ended(self, job: str, nanousd: int, *, tenant: str = "acme", reserved: int = 0, **charge: Any) -> None:
        """The end of a reservation, and what it cost."""
        who = {"model": "llama", "provider": "together", **charge}
        one = Charge(**who, nanousd=nanousd, source="computed", attempt=1)
        entry = LedgerEntry(
            kind="settle" if nanousd else "release", tenant=tenant, job_id=job, submission=1, decision_id=f"d-{job}",
            reserved_nanousd=reserved or nanousd, cost_nanousd=nanousd, charges=[one] if nanousd else [],
            status="succeeded", at=self.now,
        )  # fmt: skip
        self.give(LEDGER, LedgerBatch(lane="w", entries=[entry]).encode())

    def spent(self, job: str, nanousd: int, *, reserved: int = 0, tenant: str = "acme", **budgets: Any) -> None:
        """A job from its decision to its end."""
        self.decided(job, reserved or nanousd, tenant=tenant, **budgets)
        self.ended(job, nanousd, tenant=tenant, reserved=reserved)

    def result(self, status: str, kind: str | None = None, *, tenant: str = "acme") -> None:
        error = {"kind": kind, "message": "", "retryable": False} if kind else None
        self.give(RESULTS, codec.encode({"job_id": "j", "tenant": tenant, "status": status, "error": error}))

    def price(self, nanousd: int, *, state: str = "accepted", model: str = "llama", source: str = "router") -> None:
        price = {"input_nanousd_per_million_tokens": nanousd, "source": source, "as_of": f"{self.now:%Y-%m-%d}"}
        event = PriceEvent.model_validate(
            {
                "provider": "together", "model": model, "source": source, "price": price, "valid_from": self.now,
                "seen_at": self.now, "state": state,
            }
        )  # fmt: skip
        self.give(PRICES, event.encode())

    def breaker(self, state: str, *, model: str = "llama", open_s: float = 300) -> None:
        told = {"provider": "together", "model": model, "state": state, "failures": 3, "at": self.now, "by": "w/1"}
        if state == "open":
            told["retry_at"] = self.now + open_s * SECOND
        self.give(BREAKERS, BreakerState.model_validate(told).encode())

    def letter(self, *, tenant: str = "acme", topic: str = "inference.text.v1") -> None:
        self.give(DLQ, b"{}", key=f"{tenant}/job".encode(), headers=((headers.DLQ_TOPIC, topic.encode()),))

    def begun_anew(self) -> "Watched":
        """Another process, which reads the same topics: what was told too."""
        other = Watched(now=self.now)
        for record in self.log:
            other.take(record)
        for number, alert in enumerate(self.written):
            other.told.fold(Record("novix.alerts.v1", 0, number, None, alert.encode(), (), 0))
        return other


def budget(watched: Watched, name: str = "main", *, limit: int = 100 * CENT, **fields: Any) -> None:
    """A budget of a day of the tenant acme."""
    given = {"id": name, "tenant": "acme", "window": "day", "limit_nanousd": limit, **fields}
    watched.account("budget", **given)


TODAY = (("main", "2026-11-22", 0),)
