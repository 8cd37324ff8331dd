"""What a lane engine counts of its records."""

from collections import Counter

from runtime.metrics.registry import Metrics
from schemas.values import frozen


@frozen
class Written:
    """What one transaction holds, counted."""

    sent: Counter[str]
    """Records, by topic."""
    letters: Counter[str]
    """Dead letters, by reason."""
    actions: Counter[str]
    """Audit entries, by action."""
    spans: int


class LaneMeter:
    """What an engine tells of the lanes of one application. This one counts nothing."""

    def polled(self, records: int, took_s: float) -> None:
        """A poll brought so many records."""

    def settled(self, took_s: float) -> None:
        """A record's outcome is known, so long after its admission."""

    def committed(self, works: int, written: Written, took_s: float) -> None:
        """A transaction is committed, for so many input records."""

    def failed(self, error: str, took_s: float) -> None:
        """A transaction failed, or nobody knows; `error` is the exception's class."""

    def opened(self) -> None:
        """A lane is open."""

    def rebuilt(self) -> None:
        """A lane's producer is replaced."""

    def stopped(self, reason: str) -> None:
        """A lane goes no further; `reason` is the exception's class."""


class CountedLanes(LaneMeter):
    """Counts into a process's metrics, in the name of one group and its input topic."""

    def __init__(self, metrics: Metrics, group: str, topic: str) -> None:
        events, self._words = metrics.events, metrics.words
        self._group, self._place = group, (group, topic)
        self._settled = events("novix_records_settled_total").of(group, topic)
        self._committed = events("novix_records_committed_total").of(group, topic)
        self._commit = events("novix_commit_duration_seconds").of(group, topic)
        self._many = events("novix_commit_records").of(group, topic)
        self._failed = events("novix_transactions_failed_total")
        self._opened = events("novix_lanes_opened_total").of(group, topic)
        self._rebuilt = events("novix_lanes_rebuilt_total").of(group, topic)
        self._stopped = events("novix_lanes_stopped_total")
        self._letters = events("novix_dead_letters_total")
        self._entries = events("novix_audit_entries_total")
        self._spans = events("novix_spans_written_total").of(group)
        operations = events("messaging_client_operation_duration_seconds")
        self._poll = operations.of("kafka", "poll", topic, group, "")
        self._commit_call = operations.of("kafka", "commit", topic, group, "")
        self._operations = operations
        self._consumed = events("messaging_client_consumed_messages_total").of("kafka", "poll", topic, group)
        self._sent = events("messaging_client_sent_messages_total")
        self._process = events("messaging_process_duration_seconds").of("kafka", "process", topic, group)

    def polled(self, records: int, took_s: float) -> None:
        """See `LaneMeter`."""
        self._consumed.inc(records)
        self._poll.observe(took_s)

    def settled(self, took_s: float) -> None:
        """See `LaneMeter`."""
        self._settled.inc()
        self._process.observe(took_s)

    def committed(self, works: int, written: Written, took_s: float) -> None:
        """See `LaneMeter`."""
        self._committed.inc(works)
        self._commit.observe(took_s)
        self._commit_call.observe(took_s)
        self._many.observe(works)
        for topic, records in written.sent.items():
            self._sent.of("kafka", "send", self._words(topic), self._group).inc(records)
        for reason, records in written.letters.items():
            self._letters.of(*self._place, self._words(reason)).inc(records)
        for action, entries in written.actions.items():
            self._entries.of(self._group, self._words(action)).inc(entries)
        self._spans.inc(written.spans)

    def failed(self, error: str, took_s: float) -> None:
        """See `LaneMeter`."""
        self._failed.of(*self._place, self._words(error)).inc()
        self._operations.of("kafka", "commit", self._place[1], self._group, self._words(error)).observe(took_s)

    def opened(self) -> None:
        """See `LaneMeter`."""
        self._opened.inc()

    def rebuilt(self) -> None:
        """See `LaneMeter`."""
        self._rebuilt.inc()

    def stopped(self, reason: str) -> None:
        """See `LaneMeter`."""
        self._stopped.of(*self._place, self._words(reason)).inc()
