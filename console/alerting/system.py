"""Breakers that are open, dead letters, and groups that fall behind. Pure."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import ValidationError

from console.alerting.reading import Buckets, Once, Reading, instant_of
from console.words import count
from runtime.ports import Record
from schemas import headers
from schemas.breakers import BreakerState
from schemas.policies import AlertRule
from schemas.topics import ALERTS, JOBS, MODALITY_TOPICS, RETRY_TIERS, ROUTER_GROUP, retry_group, worker_group

SILENT = timedelta(minutes=10)
"""After its trial call is due, until an open breaker of which nobody says anything more is taken for forgotten."""
MINUTE, STEPS = timedelta(minutes=1), 24 * 60
MOST_TENANTS = 1_000
"""For rules that name one."""
MOST_LAG_SAMPLES = 1_000


GROUPS = (
    (ROUTER_GROUP, JOBS),
    *((worker_group(modality), topic) for modality, topic in MODALITY_TOPICS.items()),
    *((retry_group(topic), topic) for _, topic in RETRY_TIERS),
)
"""Whose lag is looked at."""


class Breakers:
    """The newest word on each (provider, model)."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], BreakerState] = {}

    def fold(self, record: Record) -> None:
        """A record of `novix.breakers.v1`."""
        try:
            state = BreakerState.model_validate_json(record.value or b"")
        except ValidationError:
            return
        self._states[state.provider, state.model] = state

    def readings(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """For how many seconds each breaker is open, or half-open after that: a trial that fails is no new crossing."""
        if rule.tenant != "*":
            return
        for (provider, model), state in self._states.items():
            if state.state == "closed" or (state.retry_at is not None and state.retry_at + SILENT < now):
                continue
            opened = state.since or state.at
            seconds = max(0.001, (now - opened).total_seconds())
            because = f": {state.because}" if state.because else ""
            told = f"the breaker is {state.state}{because}"
            yield Reading(f"{provider}/{model}", round(seconds, 3), "s", told, detail={"failures": state.failures})


class DeadLetters:
    """How many records were set aside, together and by tenant. Alerts that could not be sent are none of them."""

    def __init__(self) -> None:
        self._once = Once()
        self._all = Buckets(MINUTE, STEPS)
        self._tenants: OrderedDict[str, Buckets] = OrderedDict()

    def fold(self, record: Record) -> None:
        """A record of the dead letters."""
        if not self._once.is_new(record) or headers.first(record.headers, headers.DLQ_TOPIC) == ALERTS.name:
            return
        at = instant_of(record)
        self._all.add(at, letters=1)
        tenant = (record.key or b"").partition(b"/")[0].decode(errors="replace")
        self._tenants.setdefault(tenant, Buckets(MINUTE, STEPS)).add(at, letters=1)
        self._tenants.move_to_end(tenant)
        if len(self._tenants) > MOST_TENANTS:
            self._tenants.popitem(last=False)

    def readings(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """Dead letters a minute over the rule's window: of all, or of the rule's tenant."""
        named = rule.tenant != "*"
        buckets = self._tenants.get(rule.tenant) if named else self._all
        if buckets is None:
            return
        letters = buckets.sum("letters", now, timedelta(seconds=rule.window_s))
        subject = f"dead letters of {rule.tenant}" if named else "dead letters"
        told = f"{count(letters, 'record')} set aside in {rule.window_s} s"
        rate = round(60 * letters / rule.window_s, 3)
        yield Reading(subject, rate, "a minute", told, rule.tenant if named else None, detail={"letters": letters})


class Lags:
    """How far each group is behind, looked at again and again."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], deque[tuple[datetime, int]]] = {
            (group, topic.name): deque(maxlen=MOST_LAG_SAMPLES) for group, topic in GROUPS
        }

    def note(self, group: str, topic: str, records: int, at: datetime) -> None:
        """So many records of the topic were not committed by the group."""
        self._samples[group, topic].append((at, records))

    def readings(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """The least that each group lacked in the rule's window: what is caught up with now and then is no lag. Not
        known before it was looked at for so long."""
        if rule.tenant != "*":
            return
        begin = now - timedelta(seconds=rule.window_s)
        for (group, topic), samples in self._samples.items():
            seen = [records for at, records in samples if at >= begin]
            latest = seen[-1] if seen else None
            whole = bool(samples) and samples[0][0] <= begin
            below = latest is not None and latest < rule.threshold
            value = min(seen) if seen and (whole or below) else None
            told = f"{count(latest or 0, 'record')} behind, at least {count(min(seen, default=0), 'record')} for "
            yield Reading(f"{group} on {topic}", value, "records", f"{told}{rule.window_s} s")
