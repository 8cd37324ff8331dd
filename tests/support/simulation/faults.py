"""What makes the faults of a plan happen to an installation, and heal."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from simulation.installation import Installation
from simulation.kafka import BrokerFaults, SimBroker
from simulation.kernel import Kernel, SimProcess
from simulation.network import NetworkFaults
from simulation.provider import Mood, SimProvider
from simulation.schedule import CALL, Fault, Plan

LEARNT_S = 20.0
"""After a trouble is over: until when who was in it may not know yet that its partitions are somebody else's. The
longest session, the wait of a rebuild, and what is under way by then."""
ALWAYS = (-math.inf, math.inf)
Span = tuple[float, float]
"""From, until: monotonic seconds of the kernel."""


@dataclass
class Faults:
    """Of one schedule. A fault whose victim is in another one already does not happen."""

    plan: Plan
    installation: Installation
    provider: SimProvider
    publish_again: Callable[[], None]
    """Have the last records published once more."""
    redrive: Callable[[], None]
    """Have all dead letters driven again."""
    zombies: defaultdict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))
    """Processes, by pid, that were frozen or cut off, or whose broker was: from when until when they may call what is
    theirs no more."""
    dead: set[int] = field(default_factory=set)
    """Processes that were killed, or hurried: their successors know of their calls, on the same machine."""
    wanted_down: dict[int, float] = field(default_factory=dict)
    """Processes, by pid, that were told to end or killed, and when they come back, counted from their end."""
    guests: set[str] = field(default_factory=set)
    """Processes that are there for a while."""
    burnt: set[int] = field(default_factory=set)
    """Processes whose machine's disk is gone."""
    traps: list[tuple[Fault, int]] = field(default_factory=list)
    """Those that are set, and how often they may still snap."""
    _troubled_until: float = 0.0
    """When the last of the troubles up to now is over."""

    @property
    def kernel(self) -> Kernel:
        return self.installation.kernel

    @property
    def broker(self) -> SimBroker:
        return self.installation.broker

    @property
    def excused(self) -> dict[int, list[Span]]:
        """Of which processes, by pid, and when, calls may be made that no result need tell of. What was killed, frozen
        or cut off on another machine is guessed at, a call for each record; on the same one every call that was made
        before the trouble is known."""
        if self.plan.size.machines == 1:
            return dict(self.zombies) | {pid: [ALWAYS] for pid in self.burnt}
        return {pid: [ALWAYS] for pid in self.zombies.keys() | self.dead | self.burnt}

    def _trouble(self, pids: Iterable[int], for_s: float) -> None:
        """These are in trouble from now on, for so long."""
        now = self.kernel.monotonic
        self._troubled_until = max(self._troubled_until, now + for_s)
        for pid in pids:
            self.zombies[pid].append((now, now + for_s + LEARNT_S))

    def do(self, fault: Fault) -> None:
        """Begin a fault; what lasts ends by itself."""
        getattr(self, f"_{fault.kind}")(fault)

    def born(self, process: SimProcess) -> None:
        """A process was started: into the trouble that there is."""
        network = self.broker.network
        troubled = network.down or network.faults != NetworkFaults() or self.broker.faults != BrokerFaults()
        if troubled or process.name in network.cut | network.deaf or self.kernel.monotonic < network.frozen_until:
            self._trouble([process.pid], self._troubled_until - self.kernel.monotonic)

    def heal(self) -> None:
        """All that lasts is over."""
        self._network_well()
        self._broker_right()
        self._broker_back()
        self.broker.groups.offsets.answer_right()
        self._calm()
        self.kernel.full_disks.clear()
        self.kernel.locked_disks.clear()
        self.kernel.slow_disks.clear()
        self.broker.network.cut.clear()
        self.broker.network.deaf.clear()
        self.traps.clear()
        for number in range(self.plan.size.machines):
            self.installation.step_clock(f"machine-{number}", 0.0)

    def _victim(self, fault: Fault) -> SimProcess | None:
        process = self.installation.running.get(fault.victim)
        if process is None or not process.alive:
            return None
        return process if process.pid not in self.wanted_down or fault.victim in self.guests else None

    # of one process

    def _kill(self, fault: Fault) -> None:
        process = self._victim(fault)
        if process is not None:
            self.dead.add(process.pid)
            self.wanted_down[process.pid] = fault.for_s
            process.kill()

    def _kill_all(self, fault: Fault) -> None:
        for name in self.installation.names:
            self._kill(replace(fault, victim=name))

    def _terminate(self, fault: Fault) -> SimProcess | None:
        process = self._victim(fault)
        if process is not None:
            self.wanted_down[process.pid] = fault.for_s
            process.stop()
        return process

    _leave = _terminate

    def _rolling(self, fault: Fault) -> None:
        for number, name in enumerate(self.installation.names):
            self.kernel.call_later(number * 1.5, partial(self._told_to_end, replace(fault, victim=name)))

    def _told_to_end(self, fault: Fault) -> None:
        self._terminate(fault)

    def _hurry(self, fault: Fault) -> None:
        process = self._terminate(fault)
        if process is not None:
            self.dead.add(process.pid)
            delay = self.kernel.dice.choice([0.0, 0.3, 2.0])
            self.kernel.call_later(delay, lambda: self.installation.hurry(fault.victim))

    def _freeze(self, fault: Fault) -> None:
        process = self._victim(fault)
        if process is not None:
            self._trouble([process.pid], fault.for_s)
            process.freeze(fault.for_s)

    def _cut(self, fault: Fault) -> None:
        cut, process = self.broker.network.cut, self.installation.running.get(fault.victim)
        if fault.victim in cut:
            return
        self._trouble([process.pid] if process is not None else [], fault.for_s)
        cut.add(fault.victim)
        self.kernel.call_later(fault.for_s, lambda: cut.discard(fault.victim))

    def _deaf(self, fault: Fault) -> None:
        """What it sends arrives, and nothing comes back."""
        deaf, process = self.broker.network.deaf, self.installation.running.get(fault.victim)
        if fault.victim not in deaf:
            self._trouble([process.pid] if process is not None else [], fault.for_s)
            deaf.add(fault.victim)
            self.kernel.call_later(fault.for_s, lambda: deaf.discard(fault.victim))

    def _trap(self, fault: Fault) -> None:
        """Something else befalls it, for as long as the trap says, whenever it has sent a certain request."""
        if fault.trap is not None:
            self.broker.network.at_request = self._at_request
            self.provider.at_call = partial(self._at_request, CALL)
            self.traps.append((fault, fault.trap.times))
            self.kernel.call_later(fault.for_s, lambda: self._disarm(fault))

    def _disarm(self, fault: Fault) -> None:
        self.traps = [one for one in self.traps if one[0] is not fault]

    def _at_request(self, name: str, process: SimProcess, after: bool) -> None:
        for place, (fault, times) in enumerate(self.traps):
            trap = fault.trap
            if trap is None or not process.alive or process.name != fault.victim:
                continue
            if trap.request in name and trap.after == after:
                self.traps[place : place + 1] = [(fault, times - 1)] if times > 1 else []
                self.do(replace(fault, kind=trap.does, for_s=trap.for_s, trap=None))
                return

    def _guest(self, fault: Fault) -> None:
        """One process more, for a while."""
        if fault.victim in self.installation.running:
            return
        process = self.installation.start(fault.victim)
        self.guests.add(fault.victim)
        self.born(process)
        self.wanted_down[process.pid] = 0.0
        self.kernel.call_later(fault.for_s, process.stop)

    def _disk_lost(self, fault: Fault) -> None:
        """A machine dies, and comes again with an empty disk."""
        for name in list(self.installation.running):
            process = self.installation.running[name]
            if process.machine == fault.victim and process.alive:
                self.dead.add(process.pid)
                self.wanted_down[process.pid] = fault.for_s
                process.kill()
        self.burnt.update(one.pid for one in self.kernel.processes if one.machine == fault.victim)
        home = self.installation.folder / fault.victim
        if home.exists():
            home.rename(home.with_name(f"burnt-{self.kernel.next_number()}"))

    # of the broker, and of the way to it

    def _everybody_troubled(self, fault: Fault) -> None:
        self._trouble((process.pid for process in self.installation.running.values()), fault.for_s)

    def _broker_stop(self, fault: Fault) -> None:
        self._broker_away(fault, self.broker.stop)

    def _broker_crash(self, fault: Fault) -> None:
        """Of three brokers that crashed, one answers for a while with older offsets than it has acknowledged: seen once
        of Apache Kafka 4.2 (docs/lanes.md). Its dice are its own, so that schedules stay what they were."""
        self._broker_away(fault, self.broker.crash)
        dice, offsets = random.Random(f"{self.plan.seed} {fault.at_s}"), self.broker.groups.offsets
        if dice.random() < 1 / 3:
            offsets.answer_as_of(dice.randint(0, len(offsets.history)))
            self.kernel.call_later(fault.for_s + dice.uniform(5, 30), offsets.answer_right)

    def _broker_away(self, fault: Fault, go: Callable[[], None]) -> None:
        if self.broker.network.down:
            return
        self._everybody_troubled(fault)
        go()
        self.kernel.call_later(fault.for_s, self._broker_back)

    def _broker_back(self) -> None:
        if self.broker.network.down:
            self.broker.start()

    def _broker_freeze(self, fault: Fault) -> None:
        self._everybody_troubled(fault)
        self.broker.freeze(fault.for_s)

    def _network(self, fault: Fault) -> None:
        if fault.network is not None:
            self._everybody_troubled(fault)
            self.broker.network.faults = fault.network
            self.kernel.call_later(fault.for_s, self._network_well)

    def _network_well(self) -> None:
        self.broker.network.faults = NetworkFaults()

    def _broker_errors(self, fault: Fault) -> None:
        self._everybody_troubled(fault)
        share = self.kernel.dice.choice([0.02, 0.1, 0.3])
        self.broker.faults = BrokerFaults(coordinator_loading=share, not_leader=share)
        self.kernel.call_later(fault.for_s, self._broker_right)

    def _habits(self, fault: Fault) -> None:
        """As `broker_errors`, and the errors are the fault's own."""
        if fault.broker is not None:
            self._everybody_troubled(fault)
            self.broker.faults = fault.broker
            self.kernel.call_later(fault.for_s, self._broker_right)

    def _broker_right(self) -> None:
        self.broker.faults = BrokerFaults()

    # of everything else

    def _storm(self, fault: Fault) -> None:
        if fault.mood is not None:
            self.provider.mood = fault.mood
            self.kernel.call_later(fault.for_s, self._calm)

    def _calm(self) -> None:
        self.provider.mood = self.plan.mood

    def _clock_step(self, fault: Fault) -> None:
        self.installation.step_clock(fault.victim, fault.by_s)
        self.kernel.call_later(fault.for_s, lambda: self.installation.step_clock(fault.victim, 0.0))

    def _disk_full(self, fault: Fault) -> None:
        self.kernel.full_disks.add(fault.victim)
        self.kernel.call_later(fault.for_s, lambda: self.kernel.full_disks.discard(fault.victim))

    def _disk_locked(self, fault: Fault) -> None:
        self.kernel.locked_disks.add(fault.victim)
        self.kernel.call_later(fault.for_s, lambda: self.kernel.locked_disks.discard(fault.victim))

    def _disk_slow(self, fault: Fault) -> None:
        self.kernel.slow_disks[fault.victim] = fault.by_s
        self.kernel.call_later(fault.for_s, lambda: self._disk_quick(fault.victim))

    def _disk_quick(self, machine: str) -> None:
        self.kernel.slow_disks.pop(machine, None)

    def _publish_again(self, _: Fault) -> None:
        self.publish_again()

    def _redrive(self, _: Fault) -> None:
        self.redrive()

    def _refused(self, fault: Fault) -> None:
        self.provider.mood = Mood(unauthorized=1.0)
        self.kernel.call_later(fault.for_s, self._calm)
