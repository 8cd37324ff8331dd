"""The registry: which models may be used by whom, what aliases stand for; the fold of `novix.registry.v1`. Pure.

Who may use a model is decided in this order, and the first that refuses decides: a withdrawal (the tenant's or
everybody's, whichever is in force), the demand for an admission, then the findings: licence, gating, custom code,
scanners, a commit that moved. A finding that the admission `accepts` refuses nothing.

A model is meant by its name without regard to capitals, as the Hub's addresses are, and is withdrawn under each of the
names that it had before.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from pydantic import ValidationError

from runtime.ports import Record
from schemas.catalog import Security
from schemas.job import describe
from schemas.policies import EVERYBODY
from schemas.registry import Admission, Alias, Facts, RegistryRecord, Rules
from schemas.values import frozen

Reason = Literal["withdrawn", "not_admitted", "license", "gated", "custom_code", "security", "moved"]
MOST_FAULTS = 100
BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
BUILT_IN = Rules(at=BEGINNING)
"""Of an installation that nobody has said anything about."""
RESERVED = frozenset({"auto"})
"""No alias may take these names: jobs mean something else by them."""

_BAD = {"safe": 0, "caution": 1, "suspicious": 2, "unsafe": 3}
_UNFINISHED = ("unscanned", "queued", "error")
_MOST_TOLD = 200
"""Characters of somebody's reason that a verdict repeats."""


@frozen
class Verdict:
    """Whether a model may be used, and why."""

    ok: bool
    reason: Reason | None
    """None: it may be."""
    says: str
    """In words; of a model that may be used what its user should know, or nothing."""


@frozen
class Fault:
    """One record that was passed over; what held before it still holds."""

    offset: int
    reason: str
    """Names fields, kinds and sizes, and no value."""


@frozen
class Known:
    """What is known of a model, from both who look."""

    model: str = ""
    """As whoever told last wrote it."""
    license: str | None = None
    gated: Literal["no", "auto", "manual"] | None = None
    revision: str | None = None
    hub: Security | None = None
    novix: Security | None = None
    novix_revision: str | None = None
    """The commit that Novix looked into; None: it does not say."""
    formerly: tuple[str, ...] = ()
    """Names that it had before."""

    @property
    def _is_stale(self) -> bool:
        """Novix has looked into another commit than there is now: what it found stays, what it did not find says
        nothing."""
        return None not in (self.novix_revision, self.revision) and self.novix_revision != self.revision

    @property
    def custom_code(self) -> bool | None:
        """Whether it wants its author's Python run; None: nobody knows."""
        told = [] if self.hub is None else [self.hub.custom_code]
        if self.novix is not None and (self.novix.custom_code or not self._is_stale):
            told.append(self.novix.custom_code)
        known = [one for one in told if one is not None]
        return any(known) if known else None

    @property
    def level(self) -> str:
        """The worst that a scanner says of it; `unscanned` where none has ended and none has found anything."""
        scans = [one for one in (self.hub, self.novix) if one is not None]
        worst = max((one.level for one in scans if one.level in _BAD), key=_BAD.__getitem__, default="safe")
        if _BAD[worst] > 0:
            return worst
        whole = [one for one in scans if one is not self.novix or not self._is_stale]
        ended = any(one.scans_done is True and one.level not in _UNFINISHED for one in whole)
        return "safe" if ended else "unscanned"


NOTHING_KNOWN = Known()


@frozen
class Named:
    """An alias as it stands."""

    alias: str
    version: int
    """Counts its events, from 1."""
    targets: tuple[tuple[str, str | None], ...]
    """(model, commit), the first that can be used is taken; empty: the alias is gone."""
    at: datetime
    by: str


@frozen
class Standing:
    """The registry at one version. A value: nothing that is told later changes it."""

    version: str
    admissions: Mapping[tuple[str, str], Admission]
    """By model (`model_key`) and tenant, `*` for everybody: the newest word."""
    rules: Mapping[str, Rules]
    """By tenant."""
    aliases: Mapping[str, Named]
    known: Mapping[str, Known]
    """By model (`model_key`)."""
    tenants: frozenset[str]
    """Of whom anything is said by name."""
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By model (`model_key`) the other names that it has or had."""

    def rules_of(self, tenant: str) -> Rules:
        """The tenant's own rules, else everybody's, else those that are built in."""
        return self.rules.get(tenant) or self.rules.get(EVERYBODY) or BUILT_IN

    def admission_of(self, model: str, tenant: str) -> Admission | None:
        """The word that holds for a tenant: a withdrawal by anybody whom it concerns, under any of the model's names;
        else the tenant's, else everybody's, under this name: whoever takes over a name that was given up is admitted
        by nobody's word on another."""
        key = model_key(model)
        own, every = self.admissions.get((key, tenant)), self.admissions.get((key, EVERYBODY))
        others = [
            self.admissions.get((name, whom)) for name in self.renamed.get(key, ()) for whom in (tenant, EVERYBODY)
        ]
        gone = next((one for one in (own, every, *others) if one is not None and one.state == "withdrawn"), None)
        return gone or own or every

    def known_of(self, model: str) -> Known | None:
        """What is known of a model, under this name or else one that it has now."""
        key = model_key(model)
        names = (key, *self.renamed.get(key, ()))
        return next((self.known[name] for name in names if name in self.known), None)

    def withdrawn(self, model: str, tenant: str) -> str:
        """Since when and why this tenant may not have a model; empty: it was not withdrawn."""
        word = self.admission_of(model, tenant)
        return "" if word is None or word.state == "admitted" else _gone(word)

    def allowed(self, model: str, tenant: str, *, license: str | None = None, revision: str | None = None) -> Verdict:
        """May this tenant use this model?

        `license`: as somebody else names it, for a model of which the registry knows none. `revision`: the commit that
        would run, where that is known; else the one of the model's main branch is taken for it.
        """
        admission, rules, known = self.admission_of(model, tenant), self.rules_of(tenant), self.known_of(model)
        if admission is None and rules is BUILT_IN and known is None:
            return ALLOWED
        known = known or NOTHING_KNOWN
        if admission is not None and admission.state == "withdrawn":
            return Verdict(False, "withdrawn", _gone(admission))
        if rules.admitted_only and admission is None:
            return Verdict(False, "not_admitted", "not admitted, and only admitted models may be used")
        accepted = frozenset[str]() if admission is None else frozenset(admission.accepts)
        runs = revision or known.revision
        for reason, says in _findings(rules, admission, known, known.license or license, runs):
            if reason not in accepted:
                return Verdict(False, reason, says)
        if admission is None:
            return ALLOWED
        return Verdict(True, None, f"admitted{_whom_when(admission)}{_commit(admission, runs)}")


ALLOWED = Verdict(True, None, "")
_NO: Mapping[str, Rules] = MappingProxyType({})
NOTHING_SAID = Standing("0", {}, _NO, {}, {}, frozenset())


class Registry:
    """The fold. `version` is the offset after the last folded record, as text: whoever folds as far knows the same.

    A bad record is listed in `faults` and moves the version all the same. A record that was folded before changes
    nothing; where it now has another content, the topic is another one, and `other` says so: whoever decides by the
    registry stops then, for what was withdrawn may not be withdrawn there.
    """

    def __init__(self) -> None:
        self._admissions: dict[tuple[str, str], Admission] = {}
        self._rules: dict[str, Rules] = {}
        self._aliases: dict[str, Named] = {}
        self._known: dict[str, Known] = {}
        self._digests: dict[int, bytes] = {}
        self._next = 0
        self._now: Standing | None = NOTHING_SAID
        self.faults: deque[Fault] = deque(maxlen=MOST_FAULTS)
        self.other = ""
        """Why this topic is not the one that was folded; empty: it is."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Registry":
        """The registry that these records make."""
        made = cls()
        for record in records:
            made.fold(record)
        return made

    @property
    def version(self) -> str:
        """As decisions name it."""
        return str(self._next)

    @property
    def is_whole(self) -> bool:
        """Whether it was folded from the topic's first offset on."""
        return 0 in self._digests

    def behind(self, version: int) -> str:
        """Why nobody may act here on what was decided from a version; empty: that much has been read, of this topic."""
        told = f"version {version} was decided from, and {self._next} is known here" if self._next < version else ""
        return self.other or told

    def fold(self, record: Record) -> None:
        """Take in one record. Total."""
        digest = hashlib.blake2b(record.value or b"", digest_size=8).digest()
        if record.offset < self._next:
            if self._digests.get(record.offset, digest) != digest:
                self.other = f"offset {record.offset} of {record.topic} has another record than the one that was read"
            return
        self._digests[record.offset] = digest
        self._next, self._now = record.offset + 1, None
        if record.value is None:
            return
        try:
            event = RegistryRecord.model_validate_json(record.value).event
        except ValidationError as error:
            self.faults.append(Fault(record.offset, describe(error)))
            return
        if isinstance(event, Alias) and event.alias in RESERVED:
            self.faults.append(Fault(record.offset, "event.alias: this name means something else"))
            return
        self._take(event)

    def now(self) -> Standing:
        """The registry as it stands: the same object until something is told."""
        if self._now is None:
            named = {tenant for _, tenant in self._admissions} | set(self._rules)
            self._now = Standing(
                self.version, dict(self._admissions), dict(self._rules), dict(self._aliases), dict(self._known),
                frozenset(named - {EVERYBODY}), _renamed(self._known),
            )  # fmt: skip
        return self._now

    def allowed(self, model: str, tenant: str, *, license: str | None = None, revision: str | None = None) -> Verdict:
        """May this tenant use this model now? See `Standing.allowed`."""
        return self.now().allowed(model, tenant, license=license, revision=revision)

    def withdrawn(self, model: str, tenant: str) -> str:
        """Why this tenant may not have a model that was given it before; empty: it was not withdrawn."""
        return self.now().withdrawn(model, tenant)

    def _take(self, event: Admission | Rules | Alias | Facts) -> None:
        if isinstance(event, Admission):
            self._admissions[model_key(event.model), event.tenant] = event
        elif isinstance(event, Rules):
            if event.removed:
                self._rules.pop(event.tenant, None)
            else:
                self._rules[event.tenant] = event
        elif isinstance(event, Alias):
            before = self._aliases.get(event.alias)
            version = 1 if before is None else before.version + 1
            self._aliases[event.alias] = Named(event.alias, version, event.targets, event.at, event.by)
        else:
            self._learn(event)

    def _learn(self, event: Facts) -> None:
        """A reading that says nothing of scans takes back no finding (of another commit: that it was clean, it does);
        one that tells no former names takes back none."""
        key = model_key(event.model)
        before = replace(self._known.get(key, NOTHING_KNOWN), model=event.model)
        if event.security is not None and event.security.source == "novix":
            self._known[key] = replace(before, novix=event.security, novix_revision=event.revision)
            return
        hub = event.security
        if hub is None and before.hub is not None:
            stays = event.revision == before.revision or _BAD.get(before.hub.level, 0) > 0 or before.hub.custom_code
            hub = before.hub if stays else None
        names = tuple(dict.fromkeys((*before.formerly, *map(model_key, event.formerly))))
        self._known[key] = replace(
            before, license=event.license, gated=event.gated, revision=event.revision, hub=hub, formerly=names
        )  # fmt: skip


def model_key(name: str) -> str:
    """A model's name as names are compared: the Hub has no two that differ in capitals alone."""
    return name.strip().lower()


def on_the_wire(model: str, provider_model: str) -> str:
    """The Hub's name of a model that a catalogue's row calls by another one; empty: by its own. Of `org/name:provider`
    the provider is whom Hugging Face's router asks."""
    name = provider_model.partition(":")[0] if "/" in provider_model else provider_model
    return "" if model_key(name) == model_key(model) else name


def _renamed(known: Mapping[str, Known]) -> dict[str, tuple[str, ...]]:
    """For each name of a model that had others: those others."""
    found: dict[str, dict[str, None]] = {}
    for key, one in known.items():
        names = dict.fromkeys((key, *one.formerly))
        if len(names) > 1:
            for name in names:
                found.setdefault(name, {}).update(names)
    return {name: tuple(other for other in others if other != name) for name, others in found.items()}


def until(records: Sequence[Record], at: datetime) -> Sequence[Record]:
    """The records that had been written by an instant: up to the last whose time, as its broker or writer stamped it,
    is not after it. What an event says of its own time does not count: a word that is dated back changes no past."""
    limit = at.timestamp() * 1_000
    reached = [place for place, record in enumerate(records) if record.timestamp_ms <= limit]
    return records[: reached[-1] + 1] if reached else ()


def license_key(name: str) -> str:
    """A licence's name as names are compared: without capitals, prefix and the word, blanks as hyphens; `GPL-3.0` is
    `GPL-3.0-only` and `GPL-3.0+` is `GPL-3.0-or-later`, as SPDX says of the older ids."""
    told = "-".join(name.lower().replace("_", " ").split()).removeprefix("licenseref-").replace("-license", "")
    if not told.startswith(("gpl-", "lgpl-", "agpl-")):
        return told
    return f"{told}-only" if told[-1:].isdigit() else f"{told[:-1]}-or-later" if told.endswith("+") else told


def _findings(
    rules: Rules, admission: Admission | None, known: Known, license: str | None, runs: str | None
) -> Iterator[tuple[Reason, str]]:
    """What the rules find against a model."""
    told = license_key(license) if license else None
    if told is None and rules.licenses:
        yield "license", "its licence is not known, and a list of licences is demanded"
    if told is not None and rules.licenses and told not in map(license_key, rules.licenses):
        yield "license", f"its licence is {license}, none of those that are allowed"
    if told is not None and told in map(license_key, rules.denied_licenses):
        yield "license", f"its licence is {license}, which is denied"
    if rules.gated == "refuse" and known.gated != "no":
        yield "gated", "it is gated" if known.gated else "nobody knows whether it is gated, and gated ones are refused"
    if rules.custom_code == "refuse" and known.custom_code is not False:
        wants = "it wants its author's code run (trust_remote_code)"
        yield "custom_code", wants if known.custom_code else f"nobody knows whether {wants}, and such are refused"
    yield from _scanned(rules, known)
    if rules.moved == "refuse" and admission is not None and admission.revision is not None:
        if runs is None:
            yield "moved", f"admitted at commit {admission.revision}, and nobody knows which one it has now"
        elif runs != admission.revision:
            yield "moved", f"admitted at commit {admission.revision}, and it is at {runs} now"


def _scanned(rules: Rules, known: Known) -> Iterator[tuple[Reason, str]]:
    if rules.worst_level == "any":
        return
    level = known.level
    if level == "unscanned":
        if rules.worst_level == "safe":
            yield "security", "its scans are not done, and only what is scanned and safe may be used"
    elif _BAD[level] > _BAD[rules.worst_level]:
        yield "security", f"a scanner calls it {level}; {rules.worst_level} is the worst that is let in"


def _gone(event: Admission) -> str:
    why = f": {event.reason[:_MOST_TOLD]}" if event.reason else ""
    return f"withdrawn{_whom_when(event)}{why}"


def _whom_when(event: Admission) -> str:
    return f" for {'everybody' if event.tenant == EVERYBODY else event.tenant} on {event.at:%Y-%m-%d}"


def _commit(admission: Admission, runs: str | None) -> str:
    """What an admission says of commits: told, for a provider serves the one that it has."""
    if admission.revision is None:
        return ""
    if runs is None or runs == admission.revision:
        return f" at commit {admission.revision}"
    return f" at commit {admission.revision}; its main branch is at {runs} now"
