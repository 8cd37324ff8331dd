"""Random schedules of faults, each from one seed, and what makes them happen to an installation."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ordeal import CALL_MS, Ordeal
from system import Process

from runtime.failpoints import EXIT_CODE
from sandbox.kafka.broker import LocalBroker

WORKERS = 3
LENGTH_S = 35.0
SHORTEST_S, LONGEST_S = 0.3, 3.5
"""Between the beginnings of two faults."""

PROCESS_FAULTS = {"kill": 5, "terminate": 3, "terminate_twice": 1, "freeze": 3, "failpoint": 4, "leave": 2}
OTHER_FAULTS = {
    "kill_all": 2, "broker_stop": 1, "broker_kill": 1, "broker_freeze": 2, "provider_refuses": 1,
    "provider_is_slow": 1, "publish_again": 1,
}  # fmt: skip
"""How often each comes, as weights."""
PLACES = ("before_call", "after_call", "after_settle", "before_commit", "before_end", "after_end")
ROUTER_PLACES = PLACES[2:]
SLOW_MS = 2_500
AGAIN = 60
"""Jobs that are published a second time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault. `after_s` counts from the end of the one before, or from its beginning if it lasts."""

    after_s: float
    fault: str
    victim: int = -1
    """0 is the router, 1 and up are the workers; -1 for a fault that is nobody's."""
    for_s: float = 0.0
    """How long it lasts, or how long its victim stays away."""
    place: str = ""
    """Of a failpoint: `name:n`."""

    def __str__(self) -> str:
        parts = [f"+{self.after_s:.1f} s {self.fault}"]
        parts += [f"of {'router' if self.victim == 0 else f'worker-{self.victim - 1}'}"] if self.victim >= 0 else []
        parts += [f"for {self.for_s:.1f} s"] if self.for_s else []
        return " ".join([*parts, self.place]).rstrip()


def schedule(seed: int, length_s: float = LENGTH_S) -> list[Step]:
    """The faults of one run, the same for the same seed. Pure."""
    dice = random.Random(seed)
    kinds = PROCESS_FAULTS | OTHER_FAULTS
    steps: list[Step] = []
    while sum(step.after_s for step in steps) < length_s:
        after_s = dice.uniform(SHORTEST_S, LONGEST_S)
        steps.append(_step(dice, after_s, dice.choices(list(kinds), list(kinds.values()))[0]))
    return steps


def _step(dice: random.Random, after_s: float, fault: str) -> Step:
    victim = dice.randrange(WORKERS + 1) if fault in PROCESS_FAULTS else -1
    for_s, place = 0.0, ""
    if fault in ("kill", "kill_all", "terminate"):
        for_s = dice.choice([0.0, 0.0, dice.uniform(0.5, 5.0)])
    elif fault == "leave":
        for_s = dice.uniform(4.0, 12.0)
    elif fault in ("freeze", "broker_freeze"):
        for_s = dice.choice([dice.uniform(0.5, 2.0), dice.uniform(3.5, 8.0)])
    elif fault in ("provider_refuses", "provider_is_slow"):
        for_s = dice.uniform(0.5, 3.0)
    elif fault == "failpoint":
        place = f"{dice.choice(PLACES if victim else ROUTER_PLACES)}:{dice.randint(1, 20)}"
    return Step(after_s, fault, victim, for_s, place)


class Faults:
    """Makes steps happen to `run` on `broker`. A process that dies is started again, as a supervisor would.

    `victims`: whom it may happen to, the router first; all processes of the run, if not said.
    """

    def __init__(self, run: Ordeal, broker: LocalBroker, victims: Sequence[Process] | None = None) -> None:
        self.strays: list[str] = []
        """Processes that ended although nobody wanted them to."""
        self.freezes = 0
        """Processes that were frozen, or whose partitions went elsewhere because the broker was: they may call on."""
        self._run = run
        self._broker = broker
        self._victims = run.system.processes if victims is None else victims
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._busy: dict[int, str] = {}
        """What a process is about, by number: `ending`, `away`, `frozen`."""
        self._armed: set[int] = set()
        self._away_s: dict[int, float] = {}
        self._deaf = False

    def do(self, step: Step) -> None:
        """Begin a fault. One whose victim is in another one already does not happen."""
        if step.victim < 0:
            getattr(self, f"_{step.fault}")(step)
        elif step.victim not in self._busy:
            getattr(self, f"_{step.fault}")(self._process(step.victim), step)

    def publish(self, count: int) -> None:
        """More jobs, unless the broker is deaf."""
        if not self._deaf:
            self._run.publish(count)

    def meanwhile(self, seconds: float) -> None:
        """Let time pass; end what has lasted long enough, and start whoever has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look(time.monotonic())
            time.sleep(0.05)

    def heal(self) -> None:
        """Wait for the end of all that lasts: everybody runs, none to die any more, and the world is well."""
        until = time.monotonic() + 90
        while self._later or self._busy or self._armed:
            assert time.monotonic() < until, f"still {self._busy} after 90 s"
            for victim in self._armed - self._busy.keys():
                self._kill(self._process(victim), Step(0, "kill", victim))
            self._look(time.monotonic())
            time.sleep(0.05)

    def _process(self, victim: int) -> Process:
        return self._victims[victim]

    def _look(self, now: float) -> None:
        ready = [end for at, end in self._later if at <= now]
        self._later = [(at, end) for at, end in self._later if at > now]
        for end in ready:
            end()
        for victim, process in enumerate(self._victims):
            if process.running or self._busy.get(victim) == "away":
                continue
            code = process.wait()
            wanted = {0, -signal.SIGTERM} if self._busy.get(victim) == "ending" else set()
            if victim in self._armed:
                wanted.add(EXIT_CODE)
            if code not in wanted:
                self.strays.append(f"{process.name} ended with {code}")
            if code != 0:
                process.broke()
            self._back(victim, self._away_s.pop(victim, 0.0))

    def _at(self, seconds: float, end: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, end))

    def _back(self, victim: int, seconds: float) -> None:
        """Start a process that has ended, after some time."""
        self._busy[victim] = "away"
        self._armed.discard(victim)

        def start() -> None:
            self._process(victim).start()
            del self._busy[victim]

        self._at(seconds, start)

    # of one process

    def _kill(self, process: Process, step: Step) -> None:
        process.kill()
        self._back(step.victim, step.for_s)

    def _terminate(self, process: Process, step: Step) -> None:
        self._busy[step.victim] = "ending"
        self._away_s[step.victim] = step.for_s
        process.send(signal.SIGTERM)

    _leave = _terminate

    def _terminate_twice(self, process: Process, step: Step) -> None:
        """Quickly one after the other: whoever asks twice is in a hurry, so calls may be left behind."""
        process.broke()
        self._terminate(process, step)
        process.send(signal.SIGTERM)

    def _freeze(self, process: Process, step: Step) -> None:
        self.freezes += 1
        self._busy[step.victim] = "frozen"
        process.freeze()

        def thaw() -> None:
            process.thaw()
            del self._busy[step.victim]

        self._at(step.for_s, thaw)

    def _failpoint(self, process: Process, step: Step) -> None:
        process.kill()
        process.start(NOVIX_FAILPOINT=step.place)
        self._armed.add(step.victim)

    # of everybody

    def _cut_off(self) -> None:
        """Workers whose broker is away, or back, may find their partitions with others."""
        for worker in self._run.system.workers:
            worker.broke()

    def _kill_all(self, step: Step) -> None:
        for victim in range(len(self._victims)):
            if victim not in self._busy:
                self._kill(self._process(victim), replace(step, victim=victim))

    def _broker_stop(self, _: Step) -> None:
        if not self._deaf:
            self._cut_off()
            self._broker.stop()
            self._broker.start()
            self._cut_off()

    def _broker_kill(self, _: Step) -> None:
        if not self._deaf:
            self._cut_off()
            self._broker.kill()
            self._broker.start()
            self._cut_off()

    def _broker_freeze(self, step: Step) -> None:
        if self._deaf:
            return
        self._cut_off()
        self.freezes += WORKERS
        self._deaf = True
        self._broker.freeze()

        def thaw() -> None:
            self._broker.thaw()
            self._cut_off()
            self._deaf = False

        self._at(step.for_s, thaw)

    def _provider_refuses(self, step: Step) -> None:
        self._behave(step, status=503)

    def _provider_is_slow(self, step: Step) -> None:
        self._behave(step, delay_ms=SLOW_MS)

    def _behave(self, step: Step, **how: float) -> None:
        self._run.system.stub("/admin/behave", {"delay_ms": CALL_MS, **how})
        self._at(step.for_s, lambda: self._run.system.stub("/admin/behave", {"delay_ms": CALL_MS}))

    def _publish_again(self, _: Step) -> None:
        if not self._deaf:
            self._run.repeat(AGAIN)
