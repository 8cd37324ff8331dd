"""What the registry says to routing: which offers a tenant may have, and what an alias stands for.

The rules themselves stand in `runtime/registry.py`; here they meet the catalogue. Pure but for `newest_version`.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from runtime.outcome import CannotOpen
from runtime.ports import LogReader
from runtime.registry import NOTHING_SAID, Registry, Standing, on_the_wire
from schemas import codec
from schemas.failure import FailureKind
from schemas.policies import EVERYBODY
from schemas.result import Resolved
from schemas.topics import DECISIONS, REGISTRY
from schemas.values import frozen

if TYPE_CHECKING:
    from router.catalogue import Catalogue, Offer

LOOK_BACK = 2
"""Offsets at the end of a log in which its last record is looked for first: behind it is its transaction's mark."""
MOST_NEAR = 3
NEAR = 0.45
"""How alike a name must be to be suggested: difflib's ratio, 0 to 1."""


class RegistryLost(CannotOpen):
    """The registry's topic ends before the version that the lane's last decision names: it was emptied, or is another
    one. What was withdrawn is not known, so nothing is decided."""


@frozen
class Governance:
    """The registry as it stands for one tenant."""

    standing: Standing
    tenant: str = EVERYBODY
    """`*` for all of whom nothing is said by name."""

    @property
    def key(self) -> tuple[str, str]:
        """Whoever has the same one is told the same."""
        return self.standing.version, self.tenant

    def refusal(self, offer: "Offer") -> tuple[FailureKind, str]:
        """Why this tenant may not have an offer, in words; nothing: it may."""
        verdict = self.standing.allowed(offer.model, self.tenant, license=offer.licence, revision=offer.revision)
        kind = FailureKind.LICENCE_REFUSED if verdict.reason == "license" else FailureKind.NOT_APPROVED
        if not verdict.ok:
            return kind, f"the registry: {verdict.says}"
        name = on_the_wire(offer.model, offer.provider_model)
        gone = self.standing.withdrawn(name, self.tenant) if name else ""
        return FailureKind.NOT_APPROVED, f"the registry: {name} was {gone}" if gone else ""

    def resolved(self, name: str, usable: Callable[[str], bool], known: Callable[[str], bool]) -> Resolved | None:
        """What a name stands for: the first target that is `usable`, else the first that is `known`, so that its
        exclusions tell why, else the first. None: it is no alias of the registry."""
        alias = self.standing.aliases.get(name)
        if alias is None or not alias.targets:
            return None
        models = [model for model, _ in alias.targets]
        chosen = next((one for one in models if usable(one)), None) or next(filter(known, models), models[0])
        revision = next(commit for model, commit in alias.targets if model == chosen)
        facts = self.standing.known_of(chosen)
        at = facts.revision if facts is not None else None
        moved_to = at if revision is not None and at != revision else None
        return Resolved(alias=name, version=alias.version, model=chosen, revision=revision, moved_to=moved_to)


UNGOVERNED = Governance(NOTHING_SAID)


def governance_of(standing: Standing, tenant: str) -> Governance:
    """The registry for a tenant; the same for all of whom it says nothing by name."""
    return Governance(standing, tenant if tenant in standing.tenants else EVERYBODY)


def unknown_defaults(chosen: Iterable[tuple[str, str]], catalogue: "Catalogue", standing: Standing) -> list[str]:
    """What is to be said of default models (variable, name) that neither the catalogue nor the registry has: jobs that
    ask for `auto` are routed by policy then."""
    told: list[str] = []
    aliases = [name for name, one in standing.aliases.items() if one.targets]
    there = sorted({*catalogue.by_model, *catalogue.aliases, *aliases})
    for variable, name in chosen:
        if name == "auto" or name in there:
            continue
        meant = near(name, there)
        advice = f"; near it: {', '.join(meant)}" if meant else ""
        told.append(
            f"{variable}={name[:200]!r} is no model or alias of the catalogue or the registry: the policy chooses"
            f"{advice} (novix hub search, novix alias set)"
        )
    return told


def near(name: str, there: Iterable[str]) -> list[str]:
    """Names that are written like this one, the nearest first; a model's own name counts without its owner as well."""
    wanted, rated = name[:256].lower(), list[tuple[float, str]]()
    for other in there:
        full = other.lower()
        pairs = ((wanted, full), (wanted.rpartition("/")[2], full.rpartition("/")[2]))
        score = max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
        if wanted.rpartition("/")[2].startswith(full) or full.rpartition("/")[2].startswith(wanted):
            score = max(score, 0.9)  # `zephyr` for zephyr-7b-beta, and the other way round
        if score >= NEAR:
            rated.append((-score, other))
    return [other for _, other in sorted(rated)[:MOST_NEAR]]


async def catch_up(registry: Registry, partitions: Iterable[int], log: LogReader) -> None:
    """Fold the registry to the present end of its topic: whoever follows it here may be behind those who decided last.
    Raises `RegistryLost` where a decision of one of the partitions was made from more than the topic has."""
    # In the order in which they come about, from behind: a word that is said while we look must not look like one that
    # the topic has lost. What a decision names, and what is known here, was there when the end is asked afterwards.
    named = {partition: await newest_version(partition, log) for partition in partitions}
    known, end = int(registry.version), 0
    if await log.partitions(REGISTRY.name):
        first, end = await log.bounds(REGISTRY.name, 0)
        if first > 0 and not registry.is_whole:
            raise RegistryLost(f"{REGISTRY.name} begins at offset {first}: what was said before is not known")
        async for record in log.read(REGISTRY.name, 0, int(registry.version), end):
            registry.fold(record)
    if registry.other:
        raise RegistryLost(registry.other)
    if end < known:
        raise RegistryLost(f"{REGISTRY.name} ends at {end}, and version {known} of it is known here")
    has = min(end, int(registry.version))
    for partition, last in named.items():
        if has < last:
            raise RegistryLost(
                f"{REGISTRY.name} ends at {end}, and a decision of partition {partition} was made from version {last}"
                ": bring the topic back, or empty the installation's topics all together"
            )


async def newest_version(partition: int, log: LogReader) -> int:
    """The highest version of the registry that the last batches of decisions[p] name; 0 where there is none."""
    if not await log.partitions(DECISIONS.name):
        return 0
    first, end = await log.bounds(DECISIONS.name, partition)
    width = LOOK_BACK
    while first < end:
        start = max(first, end - width)
        named = [_version(record.value) async for record in log.read(DECISIONS.name, partition, start, end)]
        if named or start == first:
            return max(named, default=0)
        width *= 8
    return 0


def _version(value: bytes | None) -> int:
    """The highest version of the registry that a batch of decisions names; 0: none, or it is no batch."""
    try:
        told = [one.get("versions", {}).get("registry", "0") for one in codec.decode(value or b"")["decisions"]]
        return max((int(one) for one in told), default=0)
    except (codec.Undecodable, KeyError, TypeError, ValueError, AttributeError):
        return 0
