"""New partitions of a topic that grows: a group that does not read them is asked to divide its work anew.

Kafka's own way is that the group's leader compares partition counts. A static member that was restarted is handed the
old assignment without a rebalance and without being told that it leads (KIP-345; KIP-814 mends that for clients that
speak JoinGroup 9, and aiokafka 0.14 does not): then nobody compares, and records of new partitions wait for ever.
"""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol

log = structlog.get_logger("novix.group")

METADATA_AGE_MS = 5_000
"""How old the known partition count may be. aiokafka's default, five minutes, is too long for jobs to wait."""
LOOK_EVERY_S = 5.0
ASK_S = 2.0


class Growth:
    """Looks from time to time whether the group reads every partition of one topic, and lets it rejoin if not."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, group: str, topic: str) -> None:
        self._consumer = consumer
        self._admin = admin
        self._group = group
        self._topic = topic
        self._complete = 0
        """The partition count at which the group was last seen to read them all."""
        self._next_look = 0.0

    def assigned(self) -> None:
        """The work was divided anew: it is looked at once more, a little later."""
        self._complete = 0
        self._next_look = asyncio.get_running_loop().time() + LOOK_EVERY_S

    async def look(self) -> None:
        """Cheap, for every poll: asks the coordinator only after an assignment or when the partition count changed."""
        if asyncio.get_running_loop().time() < self._next_look:
            return
        self._next_look = asyncio.get_running_loop().time() + LOOK_EVERY_S
        known = self._consumer._client.cluster.partitions_for_topic(self._topic) or set()
        if len(known) == self._complete:
            return
        try:
            async with asyncio.timeout(ASK_S):  # who polls waits for this
                held = _held(await self._admin.describe_consumer_groups([self._group]), self._topic)
        except Exception as error:
            # No coordinator, no right to ask it, a member of another kind: no reason to stop the lanes. Looked again.
            log.debug("group.not_described", group=self._group, error=type(error).__name__)
            return
        if held is None:
            return
        if held >= known:
            self._complete = len(known)
            return
        log.info("group.incomplete", group=self._group, topic=self._topic, unread=len(known - held))
        self._consumer._coordinator.request_rejoin()


def _held(answers: list[Any], topic: str) -> set[int] | None:
    """The partitions of `topic` that the members of a described group hold; None while it is dividing its work."""
    [(error_code, _, state, _, _, members, *_)] = answers[0].groups
    if error_code or state != "Stable":
        return None
    assignments = [ConsumerProtocol.ASSIGNMENT.decode(assignment) for *_, assignment in members]
    return {source.partition for one in assignments for source in one.partitions() if source.topic == topic}
