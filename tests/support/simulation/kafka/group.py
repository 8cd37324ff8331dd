"""A consumer group and its members as the coordinator knows them."""

from dataclasses import dataclass

from simulation.kafka.log import Part
from simulation.kernel import Timer
from simulation.network import Answer

Subscription = bytes
"""What a member tells the leader of itself, its topics for instance: opaque to the broker."""
Kept = tuple[str, str | None, float, float, Subscription, tuple[Part, ...]]
"""A member on disk: id, instance, session and rebalance timeout in seconds, subscription, partitions."""

EMPTY, JOINING, SYNCING, STABLE = "Empty", "PreparingRebalance", "CompletingRebalance", "Stable"


@dataclass(frozen=True, slots=True)
class Joined:
    """What a member learns when a generation begins, or when it comes back to one."""

    generation: int
    member_id: str
    leader: str
    members: tuple[tuple[str, Subscription], ...]
    """For the leader alone: every member's id and subscription."""


class Member:
    """One member. While its join or its sync waits for an answer, it is alive."""

    __slots__ = (
        "assignment",
        "deadline",
        "id",
        "instance",
        "join",
        "rebalance_s",
        "session_s",
        "subscription",
        "sync",
        "ticking",
    )

    def __init__(self, name: str, instance: str | None, session_s: float, rebalance_s: float) -> None:
        self.id = name
        self.instance = instance
        self.session_s = session_s
        self.rebalance_s = rebalance_s
        self.subscription: Subscription = b""
        self.assignment: tuple[Part, ...] = ()
        self.join: Answer | None = None
        self.sync: Answer | None = None
        self.deadline = 0.0
        """When its session ends."""
        self.ticking = False
        """Whether a timer looks after it."""


class Group:
    """One group. What was last `kept` is what a restarted broker knows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = EMPTY
        self.generation = 0
        self.leader = ""
        self.members: dict[str, Member] = {}
        self.statics: dict[str, str] = {}
        """Member id by instance id."""
        self.timer: Timer | None = None
        """The end of a rebalance, or of the time that members have to sync."""
        self.kept: tuple[int, str, tuple[Kept, ...]] = 0, "", ()
        """Generation, leader and members."""
