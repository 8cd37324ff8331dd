"""When an alert is given: once as a subject comes over its threshold, once as it falls below. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from pydantic import ValidationError

from console.alerting.reading import Reading
from runtime.ports import Record
from schemas.alerts import Alert
from schemas.policies import AlertRule

Place = tuple[str, str]
"""Rule and subject."""


class Told:
    """What the alerts topic says: the newest alert of each rule and subject.

    The topic is the only memory. Whoever reads it to its end knows every crossing that was told, so a process that
    died tells none again.
    """

    def __init__(self) -> None:
        self._newest: dict[Place, Alert] = {}

    def fold(self, record: Record) -> None:
        """Take note of one record of the alerts topic. What is no alert is passed over."""
        try:
            self.note(Alert.model_validate_json(record.value or b""))
        except ValidationError:
            return

    def note(self, alert: Alert) -> None:
        """One that was told."""
        place = alert.rule, alert.subject
        known = self._newest.get(place)
        if known is None or _order(alert) >= _order(known):
            self._newest[place] = alert

    def newest(self, rule: str, subject: str) -> Alert | None:
        """The last word on a subject; None if it never crossed."""
        return self._newest.get((rule, subject))

    def firing(self, rule: str | None = None) -> list[Alert]:
        """Those that have not ended: of one rule, or all."""
        return [alert for alert in self._newest.values() if alert.state == "firing" and rule in (None, alert.rule)]


def alert_id(rule: str, subject: str, crossing: int) -> str:
    """The same for the same crossing, whoever finds it."""
    return hashlib.sha256(f"{rule}\0{subject}\0{crossing}".encode()).hexdigest()[:32]


def is_over(value: float, threshold: float) -> bool:
    """A value at its threshold is over it; nothing at all never is, whatever the threshold."""
    return value >= threshold and value > 0


def crossings(rule: AlertRule, readings: Iterable[Reading], told: Told, now: datetime) -> list[Alert]:
    """What is to be told of one rule: a subject that came over its threshold since the last word on it (`firing`), and
    one that fired and is below, or is not there any more (`resolved`).

    Between the two a subject fires only once, however its value moves above the threshold. A value that is not known
    now changes nothing.
    """
    seen: set[str] = set()
    alerts: list[Alert] = []
    for reading in readings:
        seen.add(reading.subject)
        if reading.value is None:
            continue
        before = told.newest(rule.id, reading.subject)
        threshold = float(rule.threshold if reading.threshold is None else reading.threshold)
        over = is_over(reading.value, threshold)
        if over == (before is not None and before.state == "firing"):
            continue
        number = (before.crossing if before else 0) + (1 if over else 0)
        alerts.append(
            Alert(
                alert_id=alert_id(rule.id, reading.subject, number),
                rule=rule.id,
                on=rule.on,
                state="firing" if over else "resolved",
                severity=rule.severity,
                tenant=reading.tenant,
                subject=reading.subject,
                crossing=number,
                value=float(reading.value),
                threshold=threshold,
                unit=reading.unit,
                message=f"{reading.subject}: {reading.told}"[:1_000],
                detail=dict(reading.detail),
                webhook=rule.webhook,
                at=now,
            )
        )
    return alerts + [_over(alert, "it is over", now) for alert in told.firing(rule.id) if alert.subject not in seen]


def orphans(rules: Mapping[str, AlertRule], told: Told, now: datetime) -> Iterator[Alert]:
    """The end of what fires for rules that hold no longer."""
    for alert in told.firing():
        if alert.rule not in rules:
            yield _over(alert, "the rule holds no longer", now)


def _over(alert: Alert, why: str, now: datetime) -> Alert:
    changed = {"state": "resolved", "value": 0.0, "message": f"{alert.subject}: {why}", "detail": {}, "at": now}
    return alert.model_copy(update=changed)


def _order(alert: Alert) -> tuple[int, bool]:
    return alert.crossing, alert.state == "resolved"
