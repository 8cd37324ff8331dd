"""Settings: one table of `NOVIX_*` variables, validated at start, with the source of each value.

Sources, strongest first: the process's environment, the file `.env` in the working directory, the state file that
`novix up` writes, the default.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from runtime.dead_values import dead_value, shown


class BadSettings(Exception):
    """One or more variables have values that are not allowed. The message names variable, value and what is allowed."""


def is_plain_address(text: str) -> bool:
    """Whether `text` is http(s)://host[:port][/path], without user, query or fragment."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return whole and "@" not in parts.netloc and not parts.query and not parts.fragment


def _var(default: Any, meaning: str, *also: str, **rule: Any) -> Any:
    """A setting: its default, one sentence for `.env.example`, and other names under which it is accepted."""
    return Field(default=default, description=meaning, json_schema_extra={"also": list(also)}, **rule)


class Settings(BaseModel):
    """Everything that can be set. Field `x_y` is the variable `NOVIX_X_Y`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )

    kafka_bootstrap: str = _var("127.0.0.1:9092", "Kafka's bootstrap servers, host:port, comma-separated.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _var(
        "PLAINTEXT", "How to speak to Kafka."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _var(
        "SCRAM-SHA-512", "SASL mechanism, with SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_username: str = _var("", "SASL user.")
    kafka_password: SecretStr = _var(SecretStr(""), "SASL password.")
    kafka_ca_file: str = _var("", "CA certificates (PEM) that the broker's certificate is checked against.")
    topic_prefix: str = _var(
        "",
        "Put before every topic, group and transactional id, as it is written.",
        pattern=r"^[A-Za-z0-9._-]*$",
    )
    instance_id: str = _var(
        "",
        "Static member id of this process; empty: host name and the lowest free slot.",
        pattern=r"^[A-Za-z0-9._-]*$",
    )
    home: Path = _var(Path("~/.novix"), "Folder of the state file, locks, logs and local caches of the log.")
    cache: Path = _var(Path("~/.cache/novix"), "Folder of downloads: broker jars and model weights.")

    hf_token: SecretStr = _var(SecretStr(""), "Hugging Face token (hf_...).", "HF_TOKEN", "HF_API_KEY")
    hf_token_file: str = _var("", "File with the token; re-read when it changes.")
    hf_token_sealed_file: str = _var("", "AES-GCM sealed file with the token; re-read when it changes.")
    seal_key: SecretStr = _var(SecretStr(""), "Key of the sealed file, base64 of 32 bytes.")
    hf_router_url: str = _var(
        "https://router.huggingface.co", "Hugging Face's router; ends before /v1.", "HF_ENTERPRISE_ENDPOINT"
    )
    hf_hub_url: str = _var("https://huggingface.co", "Hugging Face's Hub.")
    hf_viewer_url: str = _var("", "The Hub's dataset viewer; empty: the sandbox's, else Hugging Face's.")
    hub_sync: Literal["auto", "on", "off"] = _var(
        "auto", "Whether the Hub's lists are read into the catalogue; auto: those of the sandbox, or of NOVIX_HUB_URL."
    )
    hub_url: str = _var("", "Hub whose lists are read; empty: NOVIX_HF_HUB_URL.")
    hub_sync_s: float = _var(300.0, "Between two looks at what changed on the Hub.", ge=0.5, le=604_800)
    hub_full_s: float = _var(86_400.0, "Until all of the Hub's rows are read again.", ge=1, le=31_536_000)
    sandbox_hub_rows: int = _var(2_000, "Generated models that the sandbox's Hub lists.", ge=0, le=5_000_000)
    hf_bill_to: str = _var("", "Organisation that pays (X-HF-Bill-To).", pattern=r"^[A-Za-z0-9._-]*$")
    sandbox_url: str = _var("", "The sandbox's local Hugging Face; empty: its models are not served.")
    endpoints_url: str = _var(
        "https://api.endpoints.huggingface.cloud", "Management API of dedicated endpoints; ends before /v2."
    )
    endpoints_namespaces: str = _var("", "Namespaces whose endpoints are watched, whoever made them, comma-separated.")
    endpoints_poll_s: float = _var(10.0, "Between two looks at dedicated endpoints.", ge=0.1, le=3600)
    catalogue: str = _var("", "Catalogue file (JSON); empty: the one that comes with Novix.")
    egress_hosts: str = _var("", "Further hosts that calls may go to, comma-separated.")
    provider_keys_file: str = _var(
        "", 'File (JSON) with your own keys at providers, {"groq": "..."}: their calls go there directly.'
    )
    mapping_s: float = _var(3600.0, "Age at which Hugging Face's mapping of a model is asked anew.", ge=1, le=604_800)
    poll_s: float = _var(0.5, "Between two looks at a provider's queue.", ge=0.01, le=60)
    ai_provider: Literal["huggingface"] = _var("huggingface", "The provider family.", "AI_PROVIDER")
    hf_api_version: Literal["2.4"] = _var("2.4", "The brief's name for the wire contract.", "HF_API_VERSION")

    text_model: str = _var(
        "auto", "Model of text jobs that ask for `auto`; auto: the cost router chooses.", "HF_TEXT_MODEL"
    )
    image_model: str = _var("auto", "Model of image jobs that ask for `auto`.", "HF_IMAGE_MODEL")
    blob_store: str = _var("", "Blob store: a folder, or s3://bucket/prefix; empty: blobs in NOVIX_HOME.")
    blob_days: float = _var(8.0, "Until a blob that no unfinished job refers to may be removed.", ge=0, le=3650)
    s3_endpoint: str = _var("", "Address of an S3-compatible server; empty: Amazon's. Credentials: AWS_*.")
    s3_region: str = _var("us-east-1", "Region of the bucket.", pattern=r"^[a-z0-9-]+$")
    max_payload_bytes: int = _var(33_554_432, "Largest image, sound or video of a job.", ge=1024, le=2**31)
    max_payloads_bytes: int = _var(134_217_728, "Of all payloads that a process holds at a time.", ge=1_048_576)
    max_image_pixels: int = _var(50_000_000, "Most pixels of an image or of a video's picture.", ge=1)
    max_audio_s: float = _var(3600.0, "Longest sound.", gt=0, le=86_400)
    max_video_s: float = _var(600.0, "Longest video.", gt=0, le=86_400)
    fetch_s: float = _var(30.0, "To fetch a payload from an address that a job names.", gt=0, le=600)

    max_tokens: int = _var(8192, "Cap on output tokens of any job.", "HF_MAX_TOKENS", ge=1, le=1_000_000)
    default_max_tokens: int = _var(1024, "Output tokens of a job that names no number.", ge=1, le=1_000_000)
    temperature: float = _var(0.7, "Where neither job nor policy says.", "HF_TEMPERATURE", ge=0, le=2)
    top_p: float = _var(0.95, "Where the job does not say.", "HF_TOP_P", gt=0, le=1)
    cheap_below: float = _var(0.4, "Complexity below which the small model is taken.", ge=0, le=1)
    default_max_cost_nanousd: int = _var(10_000_000, "Price ceiling of a job that names none.", ge=0, le=10**15)
    dedup_max: int = _var(
        1_000_000,
        "Job identities that a router lane remembers; of reservations that ended as many, up to 50,000.",
        ge=1_000,
    )
    dedup_hours: float = _var(24.0, "How long a router lane remembers a job's identity, at most.", gt=0, le=168)

    policy: str = _var("brief/1", "Routing policy of tenants that have none of their own.")
    tenants: Literal["open", "closed"] = _var(
        "open", "open: a tenant without a record has the tier `default`; closed: its jobs are refused."
    )
    unknown_price_cap_nanousd: int = _var(
        0, "Ceiling for a call to an offer of unknown price; 0: such an offer is never taken.", ge=0, le=10**15
    )
    reserve_attempts: int = _var(
        2,
        "Calls at their full ceiling that a hard budget sets aside for one job, within its own ceiling.",
        ge=1,
        le=100,
    )
    adaptive: bool = _var(False, "Routing learns from observed latency, errors and price, within guard rails.")
    prices_poll_s: float = _var(
        3600.0, "Between two looks at the prices of Hugging Face's router; 0: none.", ge=0, le=604_800
    )
    price_drift: float = _var(0.2, "Share by which a price moves until an alert is given.", gt=0, le=100)
    price_hold_factor: float = _var(
        10.0, "A price that grows or falls by more than this waits for approval; the old one holds.", gt=1, le=1_000_000
    )
    fair_wait_s: float = _var(
        1.0, "How long assigned work may stand in a queue before a lane assigns less at a time.", gt=0, le=600
    )
    snapshot_every: int = _var(20_000, "Decisions after which a lane writes what it knows of money.", ge=100)
    webhook_url: str = _var("", "Where alerts are sent (http or https); empty: nowhere.")
    webhook_secret: SecretStr = _var(SecretStr(""), "Key of the signature (HMAC-SHA256) under each alert.")
    alerts_s: float = _var(5.0, "Between two looks of the alert rules.", ge=0.1, le=3600)
    capture_content: bool = _var(False, "Prompts and outputs are kept in the blob store; spans name the place.")
    audit_key_file: str = _var("", "Private key (Ed25519, PEM) of the audit's checkpoints; empty: one in NOVIX_HOME.")
    audit_checkpoint_s: float = _var(30.0, "Until a checkpoint covers what was written.", ge=0.1, le=86_400)
    audit_checkpoint_entries: int = _var(10_000, "Audit entries that make a checkpoint at once.", ge=1)
    hec_token: SecretStr = _var(SecretStr(""), "Token of the Splunk HTTP Event Collector that gets the audit.")

    max_in_flight: int = _var(64, "Concurrent provider calls of one worker process.", ge=1, le=10_000)
    max_retries: int = _var(5, "Attempts after the first one.", "HF_MAX_RETRIES", ge=0, le=100)
    backoff_factor_s: float = _var(0.5, "Factor of the exponential backoff.", gt=0, le=60)
    backoff_max_s: float = _var(
        60.0, "Longest single backoff, and longest Retry-After that is waited for.", gt=0, le=3600
    )
    retry_in_memory_s: float = _var(
        5.0, "Longest wait that passes in memory; longer ones in retry topics.", ge=0, le=60
    )
    retry_budget: float = _var(0.1, "Retries that are made for each success; 1000: no bound.", ge=0, le=1000)
    retry_budget_least: int = _var(10, "Retries in ten seconds that are made whatever succeeds.", ge=0, le=100_000)
    max_in_flight_bytes: int = _var(67_108_864, "Bytes of the records that a process works on.", ge=1_048_576)
    bulkhead_share: float = _var(
        0.8, "Of a process's calls, those that one model of one provider may have.", gt=0, le=1
    )
    learn_limits: bool = _var(True, "Calls in flight follow a provider's latency and its 429s.")
    connect_timeout_s: float = _var(3.05, "To connect to a provider.", gt=0, le=600)
    read_timeout_s: float = _var(30.0, "Between two reads of a provider's answer.", gt=0, le=3600)
    max_response_bytes: int = _var(33_554_432, "Largest answer of a provider that is read.", ge=1024)
    breaker: bool = _var(True, "Circuit breakers.")
    breaker_fail_max: int = _var(3, "Consecutive counted failures that open a breaker.", ge=1)
    breaker_reset_s: float = _var(300.0, "Until an open breaker lets one trial call through.", gt=0, le=604_800)

    breaker_window: int = _var(50, "Calls over which a breaker counts shares; 0: consecutive failures alone.", ge=0)
    breaker_failure_share: float = _var(0.5, "Share of failed calls in the window that opens it.", gt=0, le=1)
    breaker_slow_s: float = _var(0.0, "A call that takes longer is slow; 0: none is.", ge=0, le=3600)
    breaker_slow_share: float = _var(0.9, "Share of slow calls in the window that opens it.", gt=0, le=1)

    probe_s: float = _var(3.0, "Between two looks whether the providers answer, for /readyz; 0: none.", ge=0, le=3600)

    session_timeout_ms: int = _var(45_000, "Until Kafka gives a silent member's partitions away.", ge=1_000)
    heartbeat_interval_ms: int = _var(3_000, "Between two heartbeats.", ge=100)
    commit_max_ms: int = _var(200, "Longest wait of a settled job for its transaction.", ge=5, le=5_000)
    commit_max_records: int = _var(500, "Settled jobs that make a lane commit at once.", ge=1, le=10_000)
    drain_s: float = _var(70.0, "For calls in flight when the process is told to stop.", ge=0, le=3600)
    stuck_after_s: float = _var(
        120.0, "Without progress, with work to do, until a lane is called stuck.", ge=1, le=86_400
    )
    loop_lag_ms: int = _var(1_000, "Pause of a process's event loop that is told as an alarm.", ge=10, le=600_000)
    partitions: int = _var(6, "Partitions of topics that are created.", ge=1, le=10_000)
    replication: int = _var(1, "Replicas of topics that are created.", ge=1, le=15)
    health_host: str = _var("127.0.0.1", "Address that /healthz, /readyz and /metrics listen on.")
    metrics_tenants: str = _var("", "Tenants with metrics of their own, comma-separated.")
    health_port: int = _var(0, "Port of /healthz; 0: any free one.", ge=0, le=65_535)
    console_port: int = _var(0, "Port of the console's pages; 0: 8484 or any free one.", ge=0, le=65_535)
    console_keep_days: float = _var(7.0, "Days that the explorer remembers.", gt=0, le=3_650)
    console_keep_jobs: int = _var(250_000, "Jobs that the explorer remembers at most.", ge=100, le=10_000_000)
    console_keep_spans: int = _var(2_000_000, "Spans that the explorer remembers at most.", ge=1_000, le=100_000_000)
    console_token: SecretStr = _var(
        SecretStr(""), "Secret that the console's pages ask for; needed where they listen beyond loopback."
    )
    console_processes: str = _var(
        "", "Further processes that the page Live asks, comma-separated: name=http://host:port/healthz."
    )
    log_dir: str = _var("", "Folder of JSON log files that the page Logs reads, beside those of `novix up`.")
    log_level: Literal["debug", "info", "warning", "error"] = _var("info", "Least level that is logged.")
    log_format: Literal["auto", "console", "json"] = _var("auto", "auto: console on a terminal, JSON lines elsewhere.")

    @field_validator("kafka_bootstrap")
    @classmethod
    def _host_ports(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65_536:
                raise ValueError("must be host:port, comma-separated")
        return value

    @field_validator(
        "hf_router_url", "hf_hub_url", "hub_url", "hf_viewer_url", "sandbox_url", "s3_endpoint", "endpoints_url"
    )
    @classmethod
    def _http(cls, value: str) -> str:
        if not value:
            return value
        if not is_plain_address(value):
            raise ValueError("must be http(s)://host[:port][/path] without user or query")
        return value.rstrip("/").removesuffix("/v1")

    @field_validator("webhook_url")
    @classmethod
    def _webhook(cls, value: str) -> str:
        if value and not is_plain_address(value.partition("?")[0]):
            raise ValueError("must be http(s)://host[:port][/path][?query] without user")
        return value

    @field_validator("home", "cache")
    @classmethod
    def _folder(cls, value: Path) -> Path:
        return Path(os.path.expanduser(value)).absolute()  # unlike Path's own, it lets a name that nobody has stand

    @model_validator(mode="after")
    def _together(self) -> "Settings":
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError(
                f"NOVIX_HEARTBEAT_INTERVAL_MS={self.heartbeat_interval_ms}: must be at most a third of "
                f"NOVIX_SESSION_TIMEOUT_MS={self.session_timeout_ms}"
            )
        if self.kafka_security_protocol.startswith("SASL") and not self.kafka_username:
            raise ValueError(
                f"NOVIX_KAFKA_USERNAME='': must not be empty with "
                f"NOVIX_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
            )
        return self

    def named(self, name: str) -> str:
        """A topic, group or transactional id with the prefix."""
        return self.topic_prefix + name


@dataclass(frozen=True, slots=True)
class Loaded:
    """Validated settings and where each came from: `environment`, `.env`, `novix up` or `default`."""

    settings: Settings
    sources: dict[str, str]
    unknown: tuple[str, ...] = ()
    """Variables that start with `NOVIX_` and set nothing: misspelt, or another version's. Warned of, not refused."""


def variable(field: str) -> str:
    """The variable of a field."""
    return "NOVIX_" + field.upper()


def names_of(field: str) -> list[str]:
    """All variables that set a field, strongest first."""
    extra = Settings.model_fields[field].json_schema_extra
    also = extra.get("also", []) if isinstance(extra, dict) else []
    return [variable(field), *(str(name) for name in also)]  # type: ignore[union-attr]


def resolve(environment: Mapping[str, str], dotenv: Mapping[str, str | None], state: Mapping[str, str]) -> Loaded:
    """Merge the sources and validate. Pure. Raises `BadSettings`."""
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Settings.model_fields, "default")
    used: dict[str, str] = {}
    for field in Settings.model_fields:
        for source, table in (("environment", environment), (".env", dotenv), ("novix up", state)):
            name = next((name for name in names_of(field) if table.get(name)), None)
            if name is not None:
                values[field], sources[field], used[field] = table[name], source, name
                break
    complaints = [text for field, name in used.items() if (text := dead_value(name, str(values[field])))]
    known = {variable(field) for field in Settings.model_fields} | {
        "NOVIX_TEST_BROKER",
        "NOVIX_FAILPOINT",
        "NOVIX_FAULT_SEED",
        "NOVIX_PROOF",
        "NOVIX_FUZZ",
    }
    named = sorted(name for name in {*environment, *dotenv} if name.startswith("NOVIX_"))
    unknown = tuple(name for name in named if name not in known)
    if complaints:
        raise BadSettings("\n".join(complaints))
    try:
        return Loaded(Settings.model_validate(values), sources, unknown)
    except ValidationError as error:
        raise BadSettings("\n".join(_complaint(fault, used, values) for fault in error.errors())) from None


def _complaint(fault: Any, used: dict[str, str], values: dict[str, Any]) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    field = str(fault["loc"][0])
    secret = Settings.model_fields[field].annotation is SecretStr
    value = "(hidden)" if secret else shown(str(values.get(field)))
    if fault["type"] == "bool_parsing":
        message = "must be true or false"
    return f"{used.get(field, variable(field))}={value}: {message}"


def state_file(home: Path) -> Path:
    """Where `novix up` writes the addresses of what it started."""
    return home / "state.json"


def load(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Loaded:
    """Settings of this process: environment, `.env` of the working directory, and the state file of `novix up`."""
    environment = os.environ if environment is None else environment
    try:
        dotenv = dotenv_values((folder or Path.cwd()) / ".env", interpolate=False)
    except UnicodeDecodeError as error:
        raise BadSettings(f".env: byte {error.start} is not UTF-8; write it as UTF-8") from None
    home = Path(os.path.expanduser(environment.get("NOVIX_HOME") or dotenv.get("NOVIX_HOME") or "~/.novix"))
    return resolve(environment, dotenv, _published(state_file(home)))


def _published(path: Path) -> Mapping[str, str]:
    """The variables that a running `novix up` offers; nothing where none runs or the file is damaged."""
    try:
        document = json.loads(path.read_text())
        return {str(name): str(value) for name, value in document["environment"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
