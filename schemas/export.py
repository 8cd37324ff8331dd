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
from schemas.comparison import ComparisonCriteria, ModelComparison, Performance
from schemas.control import ControlEvent
from schemas.decision import DecisionBatch
from schemas.delta import Delta
from schemas.discovery import Criteria, Discovery
from schemas.endpoints import (
    CostMetrics,
    CustomizationOptions,
    EndpointCommand,
    EndpointQuota,
    EndpointState,
    EndpointStatus,
    Measured,
    MonitoringConfig,
    OptimizationSettings,
    ScalingPolicy,
    SecuritySettings,
)
from schemas.evals import EvalRun
from schemas.job import InferenceJob
from schemas.ledger import LedgerBatch
from schemas.media import BlobRef
from schemas.policies import PolicyRecord
from schemas.prices import PriceEvent
from schemas.recommendation import ModelRecommendation, RecommendationContext, TaskDescription
from schemas.registry import RegistryRecord
from schemas.result import JobResult
from schemas.snapshot import CatalogueSnapshot, Snapshot

DIALECT = GenerateJsonSchema.schema_dialect
BASE = "https://novix.dev/schemas"

MESSAGES: tuple[type[BaseModel], ...] = (
    InferenceJob, BlobRef, AssignedJob, JobResult, Delta, DecisionBatch, AuditBatch, ControlEvent, BreakerState,
    LedgerBatch, Snapshot, CatalogueSnapshot, PriceEvent, PolicyRecord, AccountRecord, Alert, Checkpoint,
    CatalogEntry, SourceState, RegistryRecord, EndpointState, EndpointCommand, EndpointQuota, EvalRun,
)  # fmt: skip
"""What is exported: the message of each topic that has one, and the reference that may stand in a job's input."""

VALUES: tuple[type[BaseModel], ...] = (
    Criteria, Discovery, ModelRecommendation, ScalingPolicy, CostMetrics, Measured, CustomizationOptions,
    OptimizationSettings, MonitoringConfig, SecuritySettings, Performance, ComparisonCriteria, ModelComparison,
    TaskDescription, RecommendationContext,
)  # fmt: skip
"""Forms that no topic carries: what a person or a program asks the Hub, and its answers."""

BRIEF_TYPES: dict[str, str | None] = {
    "timestamp": "instant",
    "ModelTask": "task",
    "SupportedTask": "task",
    "Modality": "modality",
    "Language": "language",
    "Domain": "domain",
    "UsageStatistics": "performance",
    "EndpointStatus": "endpoint-status",
    "ScalingPolicy": "scaling-policy",
    "LatencyMetrics": "performance",
    "ThroughputMetrics": "performance",
    "AvailabilityMetrics": "measured",
    "CostMetrics": "cost-metrics",
    "CustomizationOptions": "customization-options",
    "OptimizationSettings": "optimization-settings",
    "MonitoringConfig": "monitoring-config",
    "SecuritySettings": "security-settings",
    "TextToImageModels": "discovery",
    "ImageToTextModels": "discovery",
    "AudioModels": "discovery",
    "VideoModels": "discovery",
    "MultiModalModels": "discovery",
    "ModelPipeline": None,
    "BatchProcessor": None,
    "ModelEnsemble": None,
    "CustomWorkflow": None,
    "ModelDiscoveryCriteria": "criteria",
    "ModelDiscoveryResult": "discovery",
    "ComparisonCriteria": "comparison-criteria",
    "ModelComparison": "model-comparison",
    "TaskDescription": "task-description",
    "RecommendationContext": "recommendation-context",
    "ModelRecommendation": "model-recommendation",
    "Task": None,
    "PipelineRequirements": None,
    "ComposedPipeline": None,
    "MultiModalInputs": None,
    "ReasoningTask": None,
    "CrossModalReasoning": None,
    "DiscoveryCriteria": "criteria",
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
        "language": {
            "title": "Language",
            "description": "A language as BCP 47 writes it; `mul` for many.",
            "type": "string",
            "pattern": "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$",
        },
        "domain": {
            "title": "Domain",
            "description": "A field of work that a model's tags name.",
            "type": "string",
        },
        "endpoint-status": {
            "title": "EndpointStatus",
            "description": "How a dedicated endpoint is: the management API's word, or `deleted`.",
            **TypeAdapter(EndpointStatus).json_schema(),
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
