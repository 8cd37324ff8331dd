"""Models beside each other, as the command, the API and the page ask for them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from console.hub.known import World
from hub.compare.compare import TooMany, UnknownModel, compare, near
from hub.compare.mix import Mix, usual
from schemas.catalog import CatalogEntry
from schemas.comparison import MOST_MODELS, ComparisonCriteria, ModelComparison


class Entries(Protocol):
    """The catalogue, as it is asked here: `hub.index.store.Index`."""

    def get(self, key: str) -> CatalogEntry | None: ...


def compared(
    world: World, entries: Entries, criteria: ComparisonCriteria, now: datetime, *, names: Iterable[str] = ()
) -> ModelComparison:
    """The comparison. Blocks: call it in a thread.

    Raises `UnknownModel` with names near it, also of `names`, and `TooMany`.
    """
    if len(criteria.models) > MOST_MODELS:
        raise TooMany(len(criteria.models))
    found = []
    for model in criteria.models:
        entry = entries.get(f"model/{model}")
        if entry is None:
            raise UnknownModel(model, near(model, [*names, *sorted(world.named())]))
        found.append(entry)
    mix = shared_mix(world, found, criteria)
    known = world.of(criteria.tenant)
    subjects = [known.subject(entry, mix, criteria.task) for entry in found]
    return compare(criteria, subjects, mix=mix.told(), now=now, notes=mix.notes)


def shared_mix(world: World, entries: Iterable[CatalogEntry], criteria: ComparisonCriteria) -> Mix:
    """The jobs that all of the models are priced for: the tenant's own of the task, else of the tasks that all of them
    do; a usual one where it has none. The same for all, or nothing could be compared."""
    if criteria.task is not None:
        tasks = frozenset({criteria.task})
    else:
        each = [tasks_of(world, entry) for entry in entries]
        tasks = frozenset.intersection(*each) if each else frozenset()
        if not tasks:
            note = "the models have no task in common: say which with a task, so that their costs can be compared"
            return Mix(criteria.tenant, [], own=False, notes=(note,))
    own = world.mix(criteria.tenant).of(tasks)
    if own.jobs and own.own:
        return own
    some = next((told for task in sorted(tasks) if (told := usual(task)).jobs), None)
    if some is None:
        note = f"no job of {', '.join(sorted(tasks))} is known, so costs cannot be told"
        return Mix(criteria.tenant, [], own=False, notes=(note,))
    whose = f"{criteria.tenant} has sent no such job in seven days:" if criteria.tenant else "no tenant is named, so"
    note = f"{whose} costs are of a usual job of 600 tokens in and 200 out"
    return Mix(criteria.tenant, some.jobs, own=False, notes=(note,))


def tasks_of(world: World, entry: CatalogEntry) -> frozenset[str]:
    """What a model does, as catalogue and offers say."""
    told = {entry.task, *entry.tasks, *(offer.task for offer in entry.served)}
    return frozenset(task for task in told if task) | world.tasks(entry.id)
