"""The contract's own picture: who writes and who reads each topic, from what the applications declare. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.alerting.service import ROLE as ALERTING
from console.audit.sending import GROUPS as HEC_GROUPS
from console.audit.service import ROLE as CHECKPOINTING
from console.hub.role import ROLE as MEASURING
from console.index.facts import SOURCES
from console.relay.relay import GROUP as RELAY_GROUP
from hub.app import ROLE as HUB
from hub.endpoints.app import ROLE as ENDPOINT_CONTROLLER
from hub.sync.sides import TOPICS as HUB_SIDES
from router.app import RETRY_ROLES
from router.app import ROLE as ROUTER
from runtime.shell import Role
from schemas.topics import (
    ALERTS,
    AUDIT,
    BREAKERS,
    BUDGETS,
    CATALOG,
    CHECKPOINTS,
    CONTROL,
    DELTAS,
    DLQ,
    ENDPOINT_COMMANDS,
    ENDPOINT_QUOTAS,
    ENDPOINTS,
    EVALS,
    JOBS,
    LEDGER,
    POLICIES,
    PRICES,
    REGISTRY,
    RESULTS,
    SPANS,
    TOPICS,
)
from schemas.topics import (
    SOURCES as HUB_SOURCES,
)
from workers.app import ROLES

CONSOLE_GROUP = "novix-console-"
"""How the groups of the explorers begin; each explorer's file has one of its own."""

OPERATORS = "operators"


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of process, or of people outside."""

    name: str
    group: str | None
    """Its consumer group; None: it joins none. One that ends with a hyphen begins so: each explorer, and each collector
    of the audit, has a group of its own."""
    reads: tuple[str, ...] = ()
    """By its group, or, without one, as it likes."""
    follows: tuple[str, ...] = ()
    """Whole topics, outside any group."""
    writes: tuple[str, ...] = ()
    optional: bool = False
    """An installation may go without."""


HUB_PAGE = (CATALOG, REGISTRY, EVALS, ENDPOINTS, HUB_SOURCES)
"""What the pages of the Model Hub are made from, beside what the explorer reads; prices and breakers are among that."""
ORDERS = (ENDPOINT_COMMANDS.name, ENDPOINT_QUOTAS.name)
"""What operators write about dedicated endpoints."""


def parts() -> tuple[Part, ...]:
    """Everybody of the contract, in the order of a job's way."""
    work = [_part(role) for role in (ROUTER, *RETRY_ROLES, *ROLES.values())]
    return (
        Part("producers", None, writes=(JOBS.name, CONTROL.name)),
        *work,
        Part("consumers", None, reads=(RESULTS.name, DELTAS.name)),
        Part(
            "explorer",
            CONSOLE_GROUP,
            reads=tuple(SOURCES),
            follows=tuple(topic.name for topic in HUB_PAGE),
            writes=(JOBS.name,),
            optional=True,
        ),
        _part(ALERTING, optional=True),
        _groupless(CHECKPOINTING),
        Part(
            HUB.name,
            HUB.group,
            reads=tuple(topic.name for topic in HUB_SIDES),
            follows=tuple(topic.name for topic in HUB.follows if topic not in HUB_SIDES),
            writes=tuple(topic.name for topic in HUB.sends),
            optional=True,
        ),
        _part(ENDPOINT_CONTROLLER, optional=True),
        Part("relay", RELAY_GROUP, reads=(SPANS.name,), optional=True),
        _groupless(MEASURING),
        Part("audit-export", HEC_GROUPS, reads=(AUDIT.name,), optional=True),
        Part(
            OPERATORS,
            None,
            reads=(DLQ.name, ALERTS.name, BREAKERS.name, AUDIT.name, CHECKPOINTS.name),
            writes=(
                JOBS.name,
                CONTROL.name,
                PRICES.name,
                POLICIES.name,
                BUDGETS.name,
                REGISTRY.name,
                LEDGER.name,
                *ORDERS,
            ),
        ),
    )


def _part(role: Role, *, optional: bool = False) -> Part:
    return Part(
        role.name,
        role.group,
        (role.receives.name,),
        tuple(topic.name for topic in role.follows),
        tuple(topic.name for topic in role.sends),
        optional,
    )


def _groupless(role: Role) -> Part:
    """A process whose group is a name for its transactions alone: it follows what it receives, and nobody joins."""
    follows = dict.fromkeys((role.receives.name, *(topic.name for topic in role.follows)))
    return Part(
        role.name, None, follows=tuple(follows), writes=tuple(topic.name for topic in role.sends), optional=True
    )


def expected_topics() -> tuple[str, ...]:
    """The topics of the contract, in its order."""
    return tuple(topic.name for topic in TOPICS)


def families(names: Sequence[str]) -> dict[str, str]:
    """Each topic with the name that it goes by in a picture of the contract, where one word stands for several:
    `inference.retry.{5s,60s,600s}.v1`, `inference.{text,image}.v1`."""
    retry = [name.split(".")[2] for name in names if name.startswith("inference.retry.")]
    work = [role.receives.name.split(".")[1] for role in ROLES.values()]
    together = {f"inference.retry.{tier}.v1": f"inference.retry.{{{','.join(retry)}}}.v1" for tier in retry}
    together |= {f"inference.{one}.v1": f"inference.{{{','.join(work)}}}.v1" for one in work}
    return {name: together.get(name, name) for name in names}
