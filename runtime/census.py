"""Which topics and consumer groups an installation has on its cluster now."""

from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol

from runtime.settings import Settings

STABLE = "Stable"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group: who it says it is, and the partitions that it holds, by logical topic."""

    client_id: str
    holds: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Group:
    """One consumer group, by its logical name. `state` is Kafka's: `Stable`, `Empty`, `PreparingRebalance` ..."""

    name: str
    state: str
    members: list[Member]


async def topics_of(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    """Partitions of each topic under the installation's prefix, by logical name; the cluster's own are left out."""
    described = await admin.describe_topics()
    return {
        one["topic"].removeprefix(settings.topic_prefix): len(one["partitions"])
        for one in described
        if one["topic"].startswith(settings.topic_prefix) and not one.get("is_internal")
    }


async def groups_of(admin: AIOKafkaAdminClient, settings: Settings) -> list[Group]:
    """The consumer groups under the installation's prefix, by name."""
    prefix = settings.named("")
    names = sorted({name for name, kind, *_ in await admin.list_consumer_groups() if kind in ("consumer", "")})
    found = []
    for name in names:
        if name.startswith(prefix):
            for answer in await admin.describe_consumer_groups([name]):
                found += [_group(row, prefix) for row in answer.groups if not row[0]]
    return found


def _group(row: tuple[object, ...], prefix: str) -> Group:
    _, name, state, _, _, members, *_ = row
    told = [_member(member, prefix, settled=state == STABLE) for member in members]  # type: ignore[attr-defined]
    return Group(str(name).removeprefix(prefix), str(state), sorted(told, key=lambda one: one.client_id))


def _member(row: tuple[object, ...], prefix: str, *, settled: bool) -> Member:
    """What it holds is known while the group is not dividing its work."""
    client_id, assignment = str(row[1]), row[-1]
    holds: dict[str, list[int]] = {}
    if settled and isinstance(assignment, bytes) and assignment:
        for topic, partitions in ConsumerProtocol.ASSIGNMENT.decode(assignment).assignment:
            holds[topic.removeprefix(prefix)] = sorted(partitions)
    return Member(client_id.removeprefix(prefix), holds)
