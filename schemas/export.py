"""The contract for everybody else: JSON Schema of each message, and which of the brief's types exist by now.

A schema's `$id` is a name that stays, not an address that anybody fetches. Schemas allow fields that they do not know,
as every reader of ours does, and hold only what JSON Schema can say: `read_job` refuses more (control characters in
ids, a slash in a tenant, sizes in bytes).
"""

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from schemas import tasks
from schemas.accounts import AccountRecord
from schemas.alerts import Alert
from schemas.assignment import AssignedJob
from schemas.audit import AuditBatch, Checkpoint
from schemas.base import SCHEMA_VERSION, UtcInstant
from schemas.breakers import BreakerState
from schemas.catalog import CatalogEntry, SourceState
from schemas.control import ControlEvent
from schemas.decision import DecisionBatch
from schemas.delta import Delta
from schemas.discovery import Criteria, Discovery
from schemas.endpoints import EndpointCommand, EndpointState
from schemas.evals import EvalRun
from schemas.job import InferenceJob
from schemas.ledger import LedgerBatch
from schemas.media import BlobRef
from schemas.policies import PolicyRecord
from schemas.prices import PriceEvent
from schemas.registry import RegistryRecord
from schemas.result import JobResult
from schemas.snapshot import CatalogueSnapshot, Snapshot

DIALECT = GenerateJsonSchema.schema_dialect
BASE = "https://novix.dev/schemas"

MESSAGES: tuple[type[BaseModel], ...] = (
    InferenceJob, BlobRef, AssignedJob, JobResult, Delta, DecisionBatch, AuditBatch, ControlEvent, BreakerState,
    LedgerBatch, Snapshot, CatalogueSnapshot, PriceEvent, PolicyRecord, AccountRecord, Alert, Checkpoint,
    CatalogEntry, SourceState, RegistryRecord, EndpointState, EndpointCommand, EvalRun,
)  # fmt: skip
"""What is exported: the message of each topic that has one, and the reference that may stand in a job's input."""

VALUES: tuple[type[BaseModel], ...] = (Criteria, Discovery)
"""Forms that no topic carries: what a person or a program asks the Hub, and its answers."""

BRIEF_TYPES: dict[str, str | None] = {
    "timestamp": "instant",
    "ModelTask": "task",
    "SupportedTask": "task",
    "Modality": "modality",
    "Language": None,
    "Domain": None,
    "UsageStatistics": None,
    "EndpointStatus": None,
    "ScalingPolicy": None,
    "LatencyMetrics": None,
    "ThroughputMetrics": None,
    "AvailabilityMetrics": None,
    "CostMetrics": None,
    "CustomizationOptions": None,
    "OptimizationSettings": None,
    "MonitoringConfig": None,
    "SecuritySettings": None,
    "TextToImageModels": None,
    "ImageToTextModels": None,
    "AudioModels": None,
    "VideoModels": None,
    "MultiModalModels": None,
    "ModelPipeline": None,
    "BatchProcessor": None,
    "ModelEnsemble": None,
    "CustomWorkflow": None,
    "ModelDiscoveryCriteria": None,
    "ModelDiscoveryResult": None,
    "ComparisonCriteria": None,
    "ModelComparison": None,
    "TaskDescription": None,
    "RecommendationContext": None,
    "ModelRecommendation": None,
    "Task": None,
    "PipelineRequirements": None,
    "ComposedPipeline": None,
    "MultiModalInputs": None,
    "ReasoningTask": None,
    "CrossModalReasoning": None,
    "DiscoveryCriteria": None,
    "InferenceRequest": "inference-job",
    "InferenceResult": "job-result",
}
"""Types that the brief names and never defines: the exported schema that is each, None for those still to come."""


def documents() -> dict[str, dict[str, Any]]:
    """JSON Schema 2020-12 by name (`inference-job`), in a stable order: messages first, then the values they share."""
    messages = {name_of(model): model.model_json_schema(by_alias=True) for model in MESSAGES}
    values = {
        **{name_of(model): model.model_json_schema(by_alias=True) for model in VALUES},
        "instant": {
            "title": "Instant",
            "description": "An instant with its zone, as every message tells time.",
            **TypeAdapter(UtcInstant).json_schema(),
        },
        "task": {
            "title": "Task",
            "description": "Hugging Face's own name of a task whose schemas are published.",
            "type": "string",
            "enum": sorted(tasks.MODALITIES),
        },
        "modality": {
            "title": "Modality",
            "description": "The kind of worker that does a task.",
            "type": "string",
            "enum": sorted(set(tasks.MODALITIES.values())),
        },
    }
    return {
        name: {"$schema": DIALECT, "$id": identifier(name), **body} for name, body in {**messages, **values}.items()
    }


def identifier(name: str) -> str:
    """The `$id` of an exported schema."""
    return f"{BASE}/{name}.v{SCHEMA_VERSION}.json"


def file_name(name: str) -> str:
    """The file of an exported schema under `docs/schemas/`."""
    return f"{name}.v{SCHEMA_VERSION}.json"


def name_of(model: type[BaseModel]) -> str:
    """The name under which a message is exported."""
    return _kebab(model.__name__)


def _kebab(name: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name).lstrip("-")
