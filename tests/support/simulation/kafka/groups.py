"""The group coordinator, classic protocol: join, sync, heartbeats, generations, sessions, static members (KIP-345).

As Apache Kafka's GroupMetadataManager does for what aiokafka 0.14 sends: JoinGroup 5, SyncGroup 3, Heartbeat 1,
LeaveGroup 1, OffsetCommit 2. One difference: a member that joins without an id is taken in at once (KIP-394 would send
it back for an id first).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)

from simulation.kafka.group import EMPTY, JOINING, STABLE, SYNCING, Group, Joined, Member, Subscription
from simulation.kafka.log import Part
from simulation.kafka.offsets import Offset, Offsets
from simulation.network import Answer

if TYPE_CHECKING:
    from simulation.kafka.broker import SimBroker

FENCED_INSTANCE_ID: type[KafkaError] = for_code(82)
"""aiokafka has no name for it."""


class Groups:
    """All groups of the broker."""

    def __init__(self, broker: "SimBroker") -> None:
        self._machine = broker.machine
        self.offsets = Offsets(broker)
        self.by_name: dict[str, Group] = {}
        self._joined = 0
        broker.machine.on_start.append(self._load)
        broker.machine.on_stop.append(self._forget)

    # requests

    def join_group(
        self,
        group: str,
        member_id: str,
        instance_id: str | None,
        session_s: float,
        rebalance_s: float,
        subscription: Subscription,
    ) -> Answer:
        """JoinGroup: answered with `Joined` when every member has joined, or at the end of the rebalance timeout.

        A static member that is back without its id is told the generation as it stands, if that is stable; whoever had
        its place is unknown from then on. Raises `UnknownMemberIdError`, or FENCED_INSTANCE_ID.
        """
        self._machine.as_coordinator()
        one = self.by_name.get(group)
        if one is None:
            one = self.by_name[group] = Group(group)
        answer = Answer()
        known = one.statics.get(instance_id) if instance_id else None
        if not member_id:
            if known is not None:
                self._replace(one, known, subscription, session_s, rebalance_s, answer)
            else:
                self._add(one, instance_id, subscription, session_s, rebalance_s, answer)
            return answer
        if known is not None and known != member_id:
            raise FENCED_INSTANCE_ID
        member = one.members.get(member_id)
        if member is None or (instance_id and known is None):
            raise UnknownMemberIdError
        changed = member.subscription != subscription
        self._touch(one, member)
        if one.state == JOINING or changed or (one.state == STABLE and one.leader == member_id):
            self._await_join(member, subscription, session_s, rebalance_s, answer)
            if one.state == JOINING:
                self._maybe_complete(one)
            else:
                self._rebalance(one)
        else:  # the answer of this generation was lost, or a follower asks again
            answer.set(self._joined_as(one, member))
        return answer

    def sync_group(
        self, group: str, generation: int, member_id: str, assignment: Mapping[str, Sequence[Part]]
    ) -> Answer:
        """SyncGroup: answered with the member's partitions once the leader has told them.

        Raises `UnknownMemberIdError`, `IllegalGenerationError`, `RebalanceInProgressError`.
        """
        one, member = self._member(group, generation, member_id)
        if one.state == JOINING:
            raise RebalanceInProgressError
        answer = Answer()
        if one.state == STABLE:
            self._touch(one, member)
            answer.set(member.assignment)
            return answer
        member.sync = answer
        if one.leader == member_id:
            if one.timer is not None:
                one.timer.cancel()
            one.state = STABLE
            for other in one.members.values():
                other.assignment = tuple(assignment.get(other.id, ()))
                if other.sync is not None:
                    waiting, other.sync = other.sync, None
                    waiting.set(other.assignment)
                self._touch(one, other)
            self._keep(one)
        return answer

    def heartbeat(self, group: str, generation: int, member_id: str) -> None:
        """Heartbeat. Raises `UnknownMemberIdError`, `IllegalGenerationError`, `RebalanceInProgressError`. A coordinator
        that still reads its state answers blindly that all is well, as Apache Kafka's does."""
        try:
            one, member = self._member(group, generation, member_id)
        except CoordinatorLoadInProgressError:
            return
        self._touch(one, member)
        if one.state == JOINING:
            raise RebalanceInProgressError

    def leave_group(self, group: str, member_id: str) -> None:
        """LeaveGroup. Raises `UnknownMemberIdError`."""
        self._machine.as_coordinator()
        one = self.by_name.get(group)
        member = one.members.get(member_id) if one is not None else None
        if one is None or member is None:
            raise UnknownMemberIdError
        self._remove(one, member)

    def commit_offsets(self, group: str, generation: int, member_id: str, offsets: dict[Part, Offset]) -> None:
        """OffsetCommit: of a member in its generation, or of anybody (-1 and no id) while the group is empty.

        Raises `UnknownMemberIdError`, `IllegalGenerationError`, `RebalanceInProgressError`,
        `OffsetMetadataTooLargeError`.
        """
        one = self.by_name.get(group)
        if generation >= 0 or member_id:
            one, member = self._member(group, generation, member_id)
            if one.state == SYNCING:
                raise RebalanceInProgressError
            self._touch(one, member)
        else:
            self._machine.as_coordinator()
            if one is not None and one.members:
                raise UnknownMemberIdError
        self.offsets.check_metadata(offsets)
        self.offsets.commit(group, offsets, member_id)

    def fetch_offsets(self, group: str, parts: Iterable[Part]) -> dict[Part, Offset]:
        """OffsetFetch, which does not wait for transactions that are ending; (-1, "") for none."""
        self._machine.as_coordinator()
        return {part: self.offsets.of(group, part) for part in parts}

    def describe_group(self, group: str) -> tuple[str, dict[str, tuple[Part, ...]]]:
        """DescribeGroups: the state, and while that is Stable each member's partitions."""
        self._machine.as_coordinator()
        one = self.by_name.get(group)
        if one is None:
            return "Dead", {}
        stable = one.state == STABLE
        return one.state, {member.id: member.assignment if stable else () for member in one.members.values()}

    # members

    def _member(self, group: str, generation: int, member_id: str) -> tuple[Group, Member]:
        self._machine.as_coordinator(joined=True)
        one = self.by_name.get(group)
        member = one.members.get(member_id) if one is not None else None
        if one is None or member is None:
            raise UnknownMemberIdError
        if generation != one.generation:
            raise IllegalGenerationError
        return one, member

    def _add(
        self,
        one: Group,
        instance: str | None,
        subscription: Subscription,
        session_s: float,
        rebalance_s: float,
        answer: Answer,
    ) -> None:
        member = Member(self._new_id(instance), instance, session_s, rebalance_s)
        one.members[member.id] = member
        if instance:
            one.statics[instance] = member.id
        self._await_join(member, subscription, session_s, rebalance_s, answer)
        if one.state == JOINING:
            self._maybe_complete(one)
        else:
            self._rebalance(one)

    def _replace(
        self, one: Group, known: str, subscription: Subscription, session_s: float, rebalance_s: float, answer: Answer
    ) -> None:
        """A static member came back without its id: it takes its old place under a new one."""
        old = one.members[known]
        for waiting in (old.join, old.sync):
            if waiting is not None:
                waiting.fail(FENCED_INSTANCE_ID())
        old.join = old.sync = None
        led = one.leader
        member = Member(self._new_id(old.instance), old.instance, session_s, rebalance_s)
        member.assignment = old.assignment
        one.members = {
            (member.id if name == known else name): member if name == known else other
            for name, other in one.members.items()
        }
        one.statics[member.instance or ""] = member.id
        if led == known:
            one.leader = member.id
        self._touch(one, member)
        if one.state == STABLE:  # whatever it subscribes to: Kafka asks only whether the protocol is another
            member.subscription = subscription
            self._keep(one)
            # Without being told that it leads: so it does not divide the work anew.
            answer.set(Joined(one.generation, member.id, led, ()))
            return
        self._await_join(member, subscription, session_s, rebalance_s, answer)
        if one.state == JOINING:
            self._maybe_complete(one)
        else:
            self._rebalance(one)

    def _new_id(self, instance: str | None) -> str:
        self._joined += 1
        return f"{instance or 'member'}-{self._joined:06}"

    def _remove(self, one: Group, member: Member) -> None:
        del one.members[member.id]
        if member.instance and one.statics.get(member.instance) == member.id:
            del one.statics[member.instance]
        for waiting in (member.join, member.sync):
            if waiting is not None:
                waiting.fail(UnknownMemberIdError())
        member.join = member.sync = None
        if one.state == JOINING:
            self._maybe_complete(one)
        else:
            self._rebalance(one)

    def _touch(self, one: Group, member: Member) -> None:
        """It was heard of: its session begins anew."""
        member.deadline = self._machine.kernel.monotonic + member.session_s
        if not member.ticking:
            member.ticking = True
            self._machine.later(member.session_s, lambda: self._look_after(one, member))

    def _look_after(self, one: Group, member: Member) -> None:
        if one.members.get(member.id) is not member:
            return
        left = member.deadline - self._machine.kernel.monotonic
        if member.join is not None or member.sync is not None:
            left = member.session_s
        if left > 1e-9:
            self._machine.later(left, lambda: self._look_after(one, member))
        else:
            self._remove(one, member)

    # generations

    @staticmethod
    def _await_join(
        member: Member, subscription: Subscription, session_s: float, rebalance_s: float, answer: Answer
    ) -> None:
        member.subscription, member.session_s, member.rebalance_s = subscription, session_s, rebalance_s
        member.join = answer  # who asks again has given up the answer before

    def _rebalance(self, one: Group) -> None:
        """Every member has to join again."""
        for member in one.members.values():
            if member.sync is not None:
                waiting, member.sync = member.sync, None
                waiting.fail(RebalanceInProgressError())
                self._touch(one, member)
        if one.timer is not None:
            one.timer.cancel()
        empty, one.state = one.state == EMPTY, JOINING
        most = max((member.rebalance_s for member in one.members.values()), default=0.0)
        # The first members of a group are waited for `group.initial.rebalance.delay.ms`: 0 as we set it, and a tick.
        one.timer = self._machine.later(0.001 if empty else most, lambda: self._complete(one))
        if not empty:
            self._maybe_complete(one)

    def _maybe_complete(self, one: Group) -> None:
        if all(member.join is not None for member in one.members.values()):
            self._complete(one)

    def _complete(self, one: Group) -> None:
        """The next generation begins, with those who joined, and static members whose session has not ended."""
        if one.timer is not None:
            one.timer.cancel()
            one.timer = None
        for member in [other for other in one.members.values() if other.join is None and not other.instance]:
            del one.members[member.id]
        members = one.members
        present = [member.id for member in members.values() if member.join is not None]
        if members and not present:  # static ones alone, and none is back: waited for once more
            most = max(member.rebalance_s for member in members.values())
            one.timer = self._machine.later(most, lambda: self._complete(one))
            return
        one.generation += 1
        if not members:
            one.state, one.leader = EMPTY, ""
            self._keep(one)
            return
        one.state = SYNCING
        if one.leader not in present:
            one.leader = present[0]
        for member in members.values():
            if member.join is not None:
                waiting, member.join = member.join, None
                self._touch(one, member)
                waiting.set(self._joined_as(one, member))
        most = max(member.rebalance_s for member in members.values())
        one.timer = self._machine.later(most, lambda: self._give_up_sync(one))

    def _joined_as(self, one: Group, member: Member) -> Joined:
        lead = one.leader == member.id
        everyone = tuple((other.id, other.subscription) for other in one.members.values()) if lead else ()
        return Joined(one.generation, member.id, one.leader, everyone)

    def _give_up_sync(self, one: Group) -> None:
        """Those who have not asked for their partitions by now are out."""
        one.timer = None
        for member in [other for other in one.members.values() if other.sync is None]:
            del one.members[member.id]
            if member.instance and one.statics.get(member.instance) == member.id:
                del one.statics[member.instance]
        self._rebalance(one)

    # its own log

    def _keep(self, one: Group) -> None:
        """Written to disk: when a generation is stable or empty, and when a static member is replaced in one."""
        before = one.kept
        one.kept = (
            one.generation,
            one.leader,
            tuple(
                (
                    member.id,
                    member.instance,
                    member.session_s,
                    member.rebalance_s,
                    member.subscription,
                    member.assignment,
                )
                for member in one.members.values()
            ),
        )
        self._machine.did(lambda: setattr(one, "kept", before))

    def _forget(self) -> None:
        for one in self.by_name.values():
            one.timer = None

    def _load(self) -> None:
        for one in self.by_name.values():
            one.generation, one.leader, members = one.kept
            one.members, one.statics = {}, {}
            one.state = STABLE if members else EMPTY
            for name, instance, session_s, rebalance_s, subscription, assignment in members:
                member = Member(name, instance, session_s, rebalance_s)
                member.subscription, member.assignment = subscription, assignment
                one.members[name] = member
                if instance:
                    one.statics[instance] = name
                self._touch(one, member)
