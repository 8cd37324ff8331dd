"""The topics: name, key, value, partitions, retention. One table, from which everything else is made."""

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.accounts import AccountRecord
from schemas.alerts import Alert
from schemas.assignment import AssignedJob
from schemas.audit import AuditBatch, Checkpoint
from schemas.breakers import BreakerState
from schemas.catalog import CatalogEntry, SourceState
from schemas.control import ControlEvent
from schemas.decision import DecisionBatch
from schemas.delta import Delta
from schemas.endpoints import EndpointCommand, EndpointQuota, EndpointState
from schemas.evals import EvalRun
from schemas.job import InferenceJob
from schemas.ledger import LedgerBatch
from schemas.policies import PolicyRecord
from schemas.prices import PriceEvent
from schemas.registry import RegistryRecord
from schemas.result import JobResult
from schemas.snapshot import CatalogueSnapshot, Snapshot

DAY_MS = 86_400_000
RECORD_LIMIT_BYTES = 1_048_588
"""Kafka's own default for the largest record batch of a topic. Dead letters get twice as much: the original record,
which may be that large itself, with the reason beside it."""


STAMPED_BY, BROKER = "message.timestamp.type", "LogAppendTime"
"""Kafka's setting of whose time stands on a record, and its value for the broker's own."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract, before the prefix."""

    name: str
    key: str
    """What the key is, in words."""
    value: type[BaseModel] | None
    """The message; None: bytes as they came, or another standard's."""
    carries: str
    retention_ms: int
    home: bool = False
    """Its partition count is fixed at creation and equal to that of the jobs topic: a tenant's home is a partition
    number."""
    limit_bytes: int = RECORD_LIMIT_BYTES
    """Largest record batch."""
    single: bool = False
    """One partition, whatever the installation's number is: its order counts, and its offset is a version."""
    kept: bool = False
    """Kept for ever, whole: what decisions name must be found again. `retention_ms` holds for nothing."""
    compacted: bool = False
    """State as a fold of events: the newest record of each key is kept for ever, `retention_ms` holds for nothing."""
    stamped: bool = False
    """The broker puts its own time on each record, whatever its writer says: what held on a day that is over cannot be
    changed by a record that dates itself back."""

    @property
    def lasts(self) -> str:
        """How long a record is kept, in words."""
        if self.kept:
            return "for ever"
        days = self.retention_ms // DAY_MS
        return "the newest of each key" if self.compacted else f"{days} day{'s' if days > 1 else ''}"

    @property
    def config(self) -> dict[str, str]:
        """Topic settings for the broker."""
        time = {STAMPED_BY: BROKER} if self.stamped else {}
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": "-1" if self.kept else str(self.retention_ms),
            "max.message.bytes": str(self.limit_bytes),
            **time,
        }


JOBS = Topic("inference.jobs.v1", "tenant", InferenceJob, "what a producer asks", 7 * DAY_MS, home=True)


def _work(modality: str) -> Topic:
    article = "an" if modality[0] in "aeiou" else "a"
    carries = f"{article} {modality} job with its assignment"
    return Topic(f"inference.{modality}.v1", "tenant/ordering_key, else tenant/id", AssignedJob, carries, 7 * DAY_MS)


TEXT, IMAGE, AUDIO, MULTIMODAL = (_work(modality) for modality in ("text", "image", "audio", "multimodal"))
RESULTS = Topic("inference.results.v1", "tenant/id", JobResult, "the terminal answer", 7 * DAY_MS)
DELTAS = Topic(
    "inference.deltas.v1", "tenant/id", Delta, "pieces of answers as they come, outside every transaction", DAY_MS
)
DLQ = Topic(
    "inference.dlq.v1",
    "as received",
    None,
    "original bytes and headers, with the reason in headers",
    30 * DAY_MS,
    limit_bytes=2 * RECORD_LIMIT_BYTES,
)
DECISIONS = Topic(
    "inference.decisions.v1",
    "partition of the tenant's home",
    DecisionBatch,
    "every decision of a lane",
    30 * DAY_MS,
    home=True,
)
AUDIT = Topic("inference.audit.v1", "lane", AuditBatch, "who did what and why, hash-chained per lane", 30 * DAY_MS)
SPANS = Topic("inference.spans.v1", "lane", None, "one OTLP trace request (protobuf) per transaction", 3 * DAY_MS)

CONTROL = Topic(
    "inference.control.v1", "tenant/id", ControlEvent, "what an operator wants of a job: cancel", 7 * DAY_MS
)
BREAKERS = Topic(
    "novix.breakers.v1",
    "provider/model",
    BreakerState,
    "what one process knows of a provider's health, for all the others",
    DAY_MS,
    compacted=True,
)
LEDGER = Topic(
    "inference.ledger.v1",
    "partition of the tenant's home",
    LedgerBatch,
    "how reservations ended: settled or released",
    30 * DAY_MS,
    home=True,
)
SNAPSHOTS = Topic(
    "novix.snapshots.v1",
    "partition/part",
    Snapshot,
    "what a home lane knows of money, for its successor",
    7 * DAY_MS,
    home=True,
    compacted=True,
)


def _history(name: str, key: str, value: type[BaseModel], carries: str, *, stamped: bool = False) -> Topic:
    return Topic(f"novix.{name}.v1", key, value, carries, 30 * DAY_MS, single=True, kept=True, stamped=stamped)


PRICES = _history("prices", "provider/model/service_tier", PriceEvent, "what units cost, since when, and who says so")
OFFERS = _history("offers", "version", CatalogueSnapshot, "the catalogues that decisions were made from")
POLICIES = _history("policies", "kind/name", PolicyRecord, "routing policies, tiers and alert rules")
BUDGETS = _history("budgets", "kind/name", AccountRecord, "organisations, tenants, budgets and transfers", stamped=True)
CHECKPOINTS = Topic(
    "inference.checkpoints.v1",
    "none",
    Checkpoint,
    "signed heads of all audit chains and of the Merkle trees over their entries",
    30 * DAY_MS,
    single=True,
    kept=True,
)
CATALOG = Topic(
    "novix.catalog.v1",
    "kind/id",
    CatalogEntry,
    "models, datasets and spaces as they are known now",
    7 * DAY_MS,
    compacted=True,
)
SOURCES = Topic(
    "novix.sources.v1",
    "source/kind",
    SourceState,
    "how each source of the catalogue is, and where its reading goes on",
    7 * DAY_MS,
    single=True,
    compacted=True,
)
REGISTRY = _history(
    "registry", "kind/name", RegistryRecord, "which models may be used, aliases, licence rules", stamped=True
)
ENDPOINTS = Topic(
    "novix.endpoints.v1",
    "namespace/name",
    EndpointState,
    "dedicated endpoints as they are: status, address, cost",
    7 * DAY_MS,
    single=True,
    compacted=True,
)
ENDPOINT_COMMANDS = Topic(
    "novix.endpoints.commands.v1",
    "namespace/name",
    EndpointCommand,
    "what somebody wants done with an endpoint",
    30 * DAY_MS,
    single=True,
)
ENDPOINT_QUOTAS = Topic(
    "novix.endpoints.quotas.v1",
    "tenant",
    EndpointQuota,
    "how many endpoints a tenant may have, and for how much an hour",
    7 * DAY_MS,
    single=True,
    compacted=True,
)
EVALS = _history("evals", "model/dataset/run_id", EvalRun, "evaluations and bench runs of models")
ALERTS = Topic("novix.alerts.v1", "alert_id", Alert, "crossings of alert rules, each told once", 30 * DAY_MS)


def _tier(name: str) -> Topic:
    carries = f"a job that waits up to {name}; the time, the cause and where it goes back to stand in headers"
    return Topic(f"inference.retry.{name}.v1", "as routed", AssignedJob, carries, 7 * DAY_MS)


RETRY_TIERS: tuple[tuple[int, Topic], ...] = ((5_000, _tier("5s")), (60_000, _tier("60s")), (600_000, _tier("600s")))
"""The longest wait of each retry topic in milliseconds, shortest first."""

TOPICS: tuple[Topic, ...] = (
    JOBS, TEXT, IMAGE, AUDIO, MULTIMODAL, *(topic for _, topic in RETRY_TIERS), RESULTS, DELTAS, DLQ, DECISIONS, AUDIT,
    SPANS, CONTROL, BREAKERS, LEDGER, SNAPSHOTS, PRICES, OFFERS, POLICIES, BUDGETS, ALERTS, CHECKPOINTS,
    CATALOG, SOURCES, REGISTRY, ENDPOINTS, ENDPOINT_COMMANDS, ENDPOINT_QUOTAS, EVALS,
)  # fmt: skip

MODALITY_TOPICS: dict[str, Topic] = {"text": TEXT, "image": IMAGE, "audio": AUDIO, "multimodal": MULTIMODAL}
"""Where a job of each modality goes once it is assigned."""

ROUTER_GROUP = "novix-router"
RETRY_GROUP = "novix-retry"


def retry_group(tier: Topic) -> str:
    """The consumer group of a retry topic's lanes: one for each, because its members read different topics."""
    return f"{RETRY_GROUP}.{tier.name.split('.')[2]}"


def worker_group(modality: str) -> str:
    """The consumer group of a modality's workers."""
    return f"novix-worker-{modality}"
