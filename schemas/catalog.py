"""What is known of a model, a dataset or a space: one entry of the catalogue, merged from everybody who says something.

An unknown value is None, never 0 or "": nothing here is guessed. What passes through Novix's own topics (observed
latency, measured quality, spend) is not here: whoever shows it reads it from those topics, with its number and window.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from schemas.base import Contract, UtcInstant

Kind = Literal["model", "dataset", "space"]
Source = Literal["hub", "card", "router", "mapping", "endpoints", "local", "novix"]
"""Who says something: the Hub's list, the repository's card, the router's `/v1/models`, the Hub's provider mapping, own
dedicated endpoints, models of this machine, and Novix's own catalogue files."""
Level = Literal["unscanned", "queued", "safe", "caution", "suspicious", "unsafe", "error"]
OTHER = "other"
"""The task of a model whose tag is none of `schemas.tasks.MODALITIES`."""

MAX_REPO_CHARS = 256
MAX_TEXT_CHARS = 2_000
MAX_TAGS = 256
Text = Annotated[StrictStr, Field(max_length=MAX_REPO_CHARS)]
Texts = Annotated[tuple[Text, ...], Field(max_length=MAX_TAGS)]
Count = Annotated[StrictInt, Field(ge=0, le=10**18)]


class Said(Contract):
    """Which fields of an entry one source said, and since when it has said them so."""

    source: Source
    fields: Texts
    since: UtcInstant
    """When it was first read with these values. How fresh the source is stands on `novix.sources.v1`."""


class Serving(Contract):
    """One provider's offer of a model, as the router or the Hub's mapping tells it."""

    provider: Text
    provider_model: Text | None = None
    task: Text | None = None
    """A task of `schemas.tasks.MODALITIES`."""
    status: Text = "live"
    """`live`, `staging`, `error`, or a newer word of the Hub's."""
    source: Source = "mapping"
    context_tokens: Count | None = None
    input_nanousd_per_mtok: Count | None = None
    output_nanousd_per_mtok: Count | None = None
    first_token_ms: Count | None = None
    """As the source measured it."""
    tokens_per_s: float | None = Field(default=None, ge=0)
    tools: StrictBool | None = None
    structured_output: StrictBool | None = None
    regions: Texts = ()
    """Empty: nobody has said."""
    free: StrictBool | None = None


class Issue(Contract):
    """One file that a scanner complained of."""

    path: Text
    level: Level
    detail: StrictStr = Field(default="", max_length=500)


class Security(Contract):
    """What scanners say of a repository. `scans_done: False` is not "safe"."""

    scans_done: StrictBool | None = None
    level: Level = "unscanned"
    """The worst of the issues; `safe` only when the scans are done and there is none."""
    issues: Annotated[tuple[Issue, ...], Field(max_length=100)] = ()
    custom_code: StrictBool | None = None
    """It wants `trust_remote_code`: a client that loads it runs its author's Python. None: not known."""
    source: Literal["hub", "novix"] = "hub"
    """The Hub's scanners, or Novix's own look into the pickles of a repository."""
    at: UtcInstant | None = None


class StatedResult(Contract):
    """An evaluation that the card states. Nobody here has measured it."""

    dataset: Text
    metric: Text
    value: float
    task: Text | None = None
    verified: StrictBool = False


class CatalogEntry(Contract):
    """One model, dataset or space. On `novix.catalog.v1`, keyed `kind/id`; a record without a value: it is gone.

    Published when something of it changed, and only then.
    """

    kind: Kind = "model"
    id: Text
    """`namespace/name` (`gpt2` of old has no namespace)."""
    hub_id: Text | None = None
    """The Hub's `_id`: stays when a repository is renamed."""
    formerly: Texts = ()
    """Ids that it had before, newest last."""
    revision: Text | None = None
    """Commit of its main branch."""
    name: Text | None = None
    author: Text | None = None
    description: StrictStr | None = Field(default=None, max_length=MAX_TEXT_CHARS)
    """Plain text of the card's beginning, without markup."""
    task: Text | None = None
    """One of `schemas.tasks.MODALITIES`, or `other`."""
    pipeline_tag: Text | None = None
    """As the Hub has it."""
    tasks: Texts = ()
    """All tasks it is known to do."""
    modality: Text | None = None
    library: Text | None = None
    languages: Texts = ()
    """BCP 47."""
    domains: Texts = ()
    """`medical`, `legal`, `code`, ... as its tags say."""
    license: Text | None = None
    """SPDX id; None: unknown, or no licence that SPDX knows."""
    license_raw: Text | None = None
    tags: Texts = ()
    downloads: Count | None = None
    """Of 30 days."""
    downloads_all_time: Count | None = None
    likes: Count | None = None
    trending_score: float | None = None
    created_at: UtcInstant | None = None
    last_modified: UtcInstant | None = None
    parameters: Count | None = None
    size_bytes: Count | None = None
    """Of its weights."""
    dtypes: dict[Text, Count] = Field(default_factory=dict)
    """Parameters by number type, as safetensors has them."""
    context_tokens: Count | None = None
    base_models: Texts = ()
    gated: Literal["no", "auto", "manual"] | None = None
    private: StrictBool | None = None
    disabled: StrictBool | None = None
    inference: Text | None = None
    """`warm` where hf-inference has it loaded."""
    served: Annotated[tuple[Serving, ...], Field(max_length=64)] = ()
    security: Security | None = None
    stated_results: Annotated[tuple[StatedResult, ...], Field(max_length=100)] = ()
    said: Annotated[tuple[Said, ...], Field(max_length=16)] = ()

    @property
    def key(self) -> str:
        """The record's key."""
        return f"{self.kind}/{self.id}"


class SourceState(Contract):
    """How a source of the catalogue is. On `novix.sources.v1`, keyed by the source and kind (`hub/model`)."""

    source: Source
    kind: Kind = "model"
    state: Literal["reading", "complete", "failed"]
    at: UtcInstant
    """When this was found."""
    complete_at: UtcInstant | None = None
    """When it was last read to its end: what it says is as old as this."""
    cursor: StrictStr | None = Field(default=None, max_length=4_096)
    """Where an unfinished reading goes on: the address of the next page."""
    full: StrictBool = False
    """The reading that is told of goes over all rows; else over those that changed of late."""
    full_at: UtcInstant | None = None
    """When all rows were last read: what is gone since is not yet known to be."""
    began_at: UtcInstant | None = None
    """When the reading that is told of began."""
    reached: UtcInstant | None = None
    """The youngest `last_modified` that an unfinished reading has seen."""
    newest: UtcInstant | None = None
    """The youngest `last_modified` of the last complete reading: an incremental one reads down to it."""
    rows: Count = 0
    changed: Count = 0
    refused: dict[Text, Count] = Field(default_factory=dict)
    """Rows that were kept out, by reason."""
    dropped: dict[Text, Count] = Field(default_factory=dict)
    """Single fields that were left out because they were not of their kind, by name; under `other` models whose tag is
    no published task."""
    gone: Count = 0
    """Entries that were taken away, because no source names them any more."""
    error: StrictStr = Field(default="", max_length=500)
