"""Faults that come together, one into the recovery of another, as they do: for `simulation.harsh`. Pure."""

import random
from collections.abc import Callable
from dataclasses import replace

from simulation.installation import Size
from simulation.kafka import BrokerFaults
from simulation.network import NetworkFaults
from simulation.schedule import CALL, STORMS, Fault, Trap

REQUESTS = (
    "Produce", "EndTxn", "TxnOffsetCommit", "AddOffsets", "AddPartitions", "InitProducerId", "JoinGroup", "SyncGroup",
    "OffsetFetch", "LeaveGroup", "Heartbeat", CALL,
)  # fmt: skip
COMMITS = ("AddPartitions", "Produce", "AddOffsets", "TxnOffsetCommit", "EndTxn", "InitProducerId")
HABITS = (
    BrokerFaults(markers_late_s=3.0), BrokerFaults(markers_late_s=0.5, stale_fetch=0.7),
    BrokerFaults(coordinator_moved=0.3), BrokerFaults(produce_unconfirmed=0.3),
    BrokerFaults(coordinator_loading=0.6, not_leader=0.3),
    BrokerFaults(coordinator_moved=0.1, produce_unconfirmed=0.1, markers_late_s=1.0, not_leader=0.1),
)  # fmt: skip
Scene = Callable[[random.Random, Size, float], list[Fault]]


def _names(size: Size) -> list[str]:
    workers = [f"worker-{number}" for number in range(size.workers)]
    return [*workers, *workers, *(f"router-{number}" for number in range(size.routers))]


def _machine(dice: random.Random, size: Size) -> str:
    return f"machine-{dice.randrange(size.machines)}"


def _thaw(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """Frozen about as long as its session lasts, again and again, and at one of its thaws killed or told to end."""
    victim, told = dice.choice(_names(size)), []
    for _ in range(dice.choice([1, 2, 4])):
        for_s = size.session_s * dice.choice([0.9, 1.0, 1.05, 1.5]) + dice.uniform(-0.3, 0.3)
        told.append(Fault(at_s, "freeze", victim, for_s))
        at_s += for_s
        if dice.random() < 0.4:
            kind, down_s = dice.choice(["kill", "terminate", "hurry", "cut", "deaf"]), dice.choice([0.0, 1.0, 5.0])
            told.append(Fault(at_s + dice.uniform(-0.05, 0.3), kind, victim, down_s))
        at_s += dice.uniform(0.1, 1.5)
    return told


def _in_rebalance(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """Somebody leaves or dies, and into the rebalance the broker goes down, or freezes, or answers with errors."""
    names = _names(size)
    told = [Fault(at_s, dice.choice(["terminate", "kill", "hurry"]), dice.choice(names), dice.choice([0.0, 0.5, 4.0]))]
    for _ in range(dice.choice([1, 2])):
        kind = dice.choice(["broker_crash", "broker_stop", "broker_freeze", "habits", "network"])
        at_s += dice.choice([dice.uniform(0, 0.5), dice.uniform(0, size.session_s + 1)])
        fault, pin, habits = (
            Fault(at_s, kind, for_s=dice.choice([0.1, 1.0, 6.0, 12.0])),
            _pin(dice),
            dice.choice(HABITS),
        )
        how = {"network": replace(fault, network=pin), "habits": replace(fault, broker=habits)}
        told.append(how.get(kind, fault))
    return told


def _full_disk(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """A disk without room, locked or slow, and who lives there dies and comes again meanwhile."""
    kind, machine = dice.choice(["disk_full", "disk_locked", "disk_slow"]), _machine(dice, size)
    told = [Fault(at_s, kind, machine, dice.uniform(0.5, 10), by_s=dice.choice([0.3, 2.0]))]
    if dice.random() < 0.3:
        told.append(replace(told[0], victim=_machine(dice, size), at_s=at_s + dice.uniform(0, 2)))
    for _ in range(dice.choice([1, 2, 3])):
        kind = dice.choice(["kill", "kill", "terminate", "freeze", "hurry"])
        for_s = dice.choice([0.0, 0.5, 3.0, size.session_s + 1])
        told.append(Fault(at_s + dice.uniform(0, 4), kind, dice.choice(_names(size)), for_s))
    return told


def _all_again(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """All are killed, and again before the sessions of the first are over."""
    told = []
    for _ in range(dice.choice([2, 3])):
        told.append(Fault(at_s, "kill_all", for_s=dice.choice([0.0, 0.3, 1.0])))
        at_s += dice.uniform(0.2, size.session_s * 0.7)
    return told


def _one_way(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """What a process sends arrives, and no answer comes, or nothing arrives; others leave meanwhile."""
    told = []
    for name in dice.sample(sorted(set(_names(size))), k=1) * dice.choice([1, 2]):
        for_s = dice.choice([0.3, 2.0, size.session_s + 1, size.session_s * 2.5])
        told.append(Fault(at_s, dice.choice(["deaf", "deaf", "cut"]), name, for_s))
        at_s += for_s + dice.uniform(-0.2, 2.0)
    if dice.random() < 0.5:
        told.append(Fault(at_s, dice.choice(["rolling", "kill", "terminate"]), dice.choice(_names(size)), 0.5))
    return told


def _clocks(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """A storm that opens breakers, and clocks that are set by hours, each its own way, back and forth."""
    told = [Fault(at_s, "storm", for_s=dice.uniform(2, 10), mood=dice.choice(STORMS))]
    for _ in range(dice.choice([1, 3, 5])):
        by_s = dice.choice([3600.0, -3600.0, 30.0, -30.0, 7200.0])
        told.append(
            Fault(at_s + dice.uniform(0, 8), "clock_step", _machine(dice, size), dice.uniform(0.2, 6), by_s=by_s)
        )
    return told


def _openings(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """Lanes move, and what their opening asks for is lost, late or refused."""
    asks = dice.choice(["InitProducerId", "OffsetFetch", "JoinGroup", "SyncGroup", "Offset", "Coordinator", "Fetch"])
    told = [Fault(at_s, "network", for_s=dice.uniform(1, 10), network=_pin(dice, asks))]
    for _ in range(dice.choice([1, 2, 3])):
        kind = dice.choice(["terminate", "kill", "rolling", "freeze"])
        told.append(Fault(at_s + dice.uniform(0, 5), kind, dice.choice(_names(size)), dice.choice([0.0, 1.0, 7.0])))
    return told


def _commits(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """What transactions are made of is late, lost or unanswered; and somebody dies of it."""
    told = [Fault(at_s, "network", for_s=dice.uniform(2, 15), network=_pin(dice, dice.choice(COMMITS)))]
    if dice.random() < 0.5:
        told.append(Fault(at_s + dice.uniform(0, 4), "habits", for_s=dice.uniform(1, 5), broker=dice.choice(HABITS)))
    if dice.random() < 0.5:
        kind = dice.choice(["kill", "freeze", "terminate", "rolling"])
        told.append(Fault(at_s + dice.uniform(0, 6), kind, dice.choice(_names(size)), dice.choice([0.5, 11.0])))
    return told


def _roll(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """One after the other, in a storm, with the network or the broker ill."""
    told = [
        Fault(at_s, "storm", for_s=dice.uniform(2, 10), mood=dice.choice(STORMS)),
        Fault(at_s + dice.uniform(0, 1), "rolling", for_s=dice.choice([0.0, 1.0])),
    ]
    if dice.random() < 0.5:
        told.append(Fault(at_s + dice.uniform(0, 3), "habits", for_s=3.0, broker=dice.choice(HABITS)))
    if dice.random() < 0.3:
        told.append(Fault(at_s + dice.uniform(1, 6), "rolling", for_s=0.0))
    return told


def _loop(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """A process that never lives longer than a few seconds."""
    victim, kinds, told = dice.choice(_names(size)), dice.choice(["kill", "terminate", "hurry", "mixed"]), []
    for _ in range(dice.choice([4, 8, 12])):
        kind = dice.choice(["kill", "terminate", "hurry"]) if kinds == "mixed" else kinds
        told.append(Fault(at_s, kind, victim, dice.choice([0.0, 0.2])))
        at_s += dice.uniform(0.5, 3.0)
    return told


def _trapped(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """It dies, freezes or is cut off at one kind of request, as often as it comes there."""
    told = []
    for _ in range(dice.choice([1, 1, 2])):
        victim = dice.choice(_names(size))
        does = dice.choice(["kill", "kill", "kill", "freeze", "deaf", "cut", "terminate", "broker_crash", "hurry"])
        for_s = dice.choice([0.0, 1.0]) if does in ("kill", "terminate") else dice.choice([0.5, size.session_s, 11.0])
        trap = Trap(dice.choice(REQUESTS), dice.random() < 0.5, does, for_s, dice.choice([1, 2, 3, 5]))
        if does == "broker_crash":
            victim = "router-0"  # that it is no affair of the workers' alone shows in the name
        told.append(Fault(at_s, "trap", victim, dice.uniform(3, 20), trap=trap))
    return told


def _again(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """Jobs and dead letters come again and again while somebody dies."""
    told = [Fault(at_s + dice.uniform(0, 8), dice.choice(["publish_again", "redrive"])) for _ in range(4)]
    return [*told, Fault(at_s + dice.uniform(0, 5), "kill", dice.choice(_names(size)), dice.choice([0.0, 2.0]))]


def _guests(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """More processes come for a while, and go or die, in the middle of other troubles."""
    told = []
    for number in range(dice.choice([1, 2, 3])):
        name, for_s = f"{dice.choice(['worker', 'worker', 'router'])}-{7 + number}", dice.uniform(0.5, 12)
        told.append(Fault(at_s, "guest", name, for_s))
        if dice.random() < 0.5:
            kind = dice.choice(["kill", "freeze", "cut", "deaf"])
            told.append(Fault(at_s + dice.uniform(0.2, for_s), kind, name, dice.choice([1.0, size.session_s + 1])))
        at_s += dice.uniform(0, 4)
    return [*told, Fault(at_s, dice.choice(["kill", "terminate", "hurry"]), dice.choice(_names(size)), 3.0)]


def _disk_lost(dice: random.Random, size: Size, at_s: float) -> list[Fault]:
    """A machine dies with its disk."""
    return [
        Fault(at_s + dice.choice([0.0, 4.0]), "disk_lost", _machine(dice, size), dice.choice([0.0, 2.0, 9.0]))
        for _ in range(2)
    ]


def _pin(dice: random.Random, only: str = "") -> NetworkFaults:
    """Of one kind of request, often."""
    slow_s = dice.choice([1.0, 6.0, 15.0])
    kind = dice.choice(["slow", "late_answer", "lost", "unanswered", "silent", "orphaned"])
    share = dice.choice([0.3, 0.8]) if only else dice.choice([0.02, 0.1])
    who = dice.choice(["", "", "worker", "router", "worker-0"])
    return NetworkFaults(slow_s=slow_s, only=only, who=who, **{kind: share})


SCENES: tuple[Scene, ...] = (
    _thaw, _in_rebalance, _full_disk, _all_again, _one_way, _clocks, _openings, _commits, _roll, _loop, _trapped,
    _trapped, _again, _guests, _guests, _disk_lost,
)  # fmt: skip
