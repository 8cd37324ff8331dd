"""When an alert is given: once as a subject comes over its threshold, once as it falls below. Pure."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from pydantic import ValidationError

from console.alerting.reading import Reading
from runtime.ports import Record
from schemas.alerts import Alert
from schemas.policies import AlertRule

Place = tuple[str, str]
"""Rule and subject."""
MOST_RESOLVED = 100_000
"""Subjects that fire no more whose crossings go on being counted: those that ended last. Most are windows that are
over and come never again."""


class Told:
    """What the alerts topic says: what fires, and how often each rule and subject has crossed.

    The topic is the only memory. Whoever reads it to its end knows every crossing that was told, so a process that
    died tells none again.
    """

    def __init__(self) -> None:
        self._firing: dict[Place, Alert] = {}
        self._resolved: OrderedDict[Place, int] = OrderedDict()
        """The number of its last crossing."""

    def fold(self, record: Record) -> None:
        """Take note of one record of the alerts topic. What is no alert is passed over."""
        try:
            self.note(Alert.model_validate_json(record.value or b""))
        except ValidationError:
            return

    def note(self, alert: Alert) -> None:
        """One that was told."""
        place = alert.rule, alert.subject
        crossing, fires = self.last(*place)
        if (alert.crossing, alert.state == "resolved") < (crossing, not fires):
            return
        self._firing.pop(place, None)
        self._resolved.pop(place, None)
        if alert.state == "firing":
            self._firing[place] = alert
            return
        self._resolved[place] = alert.crossing
        if len(self._resolved) > MOST_RESOLVED:
            self._resolved.popitem(last=False)

    def last(self, rule: str, subject: str) -> tuple[int, bool]:
        """The number of a subject's last crossing, 0 if it never crossed; and whether it fires."""
        alert = self._firing.get((rule, subject))
        return (alert.crossing, True) if alert is not None else (self._resolved.get((rule, subject), 0), False)

    def firing(self, rule: str | None = None) -> list[Alert]:
        """Those that have not ended: of one rule, or all."""
        return [alert for alert in self._firing.values() if rule in (None, alert.rule)]


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
    now changes nothing; of two readings of one subject the first counts.
    """
    seen: set[str] = set()
    alerts: list[Alert] = []
    for reading in readings:
        again = reading.subject in seen
        seen.add(reading.subject)
        if again or reading.value is None:
            continue
        last, fires = told.last(rule.id, reading.subject)
        threshold = float(rule.threshold if reading.threshold is None else reading.threshold)
        over = is_over(reading.value, threshold)
        if over == fires:
            continue
        number = last + 1 if over else last
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
