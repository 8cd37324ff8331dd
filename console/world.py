"""What stands on this machine after `novix up`: which processes, with which variables, and the file that says so."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from console.exits import CommandError, Exit
from runtime.settings import Loaded, state_file
from sandbox.kafka.process import is_ours
from schemas.topics import MODALITY_TOPICS

Phase = Literal["starting", "healthy", "restarting", "stopping"]
HfChoice = Literal["auto", "local", "real"]
BrokerChoice = Literal["local", "container"]
WorkersChoice = Literal["one", "each"]

SANDBOX_TOKEN = "hf_sandbox"  # noqa: S105 - the local Hugging Face takes any token; this one opens nothing else
LOOPBACK = "127.0.0.1"
USUAL_PORT = 8484
"""Of the pages, unless the user names one or somebody else has it."""
LONGEST_RESTART_S = 10.0
STEADY_AFTER_S = 10.0
"""A process that lived this long was well: its next restart is quick again."""
STOP_S = 15.0
"""For a process that is told to stop, beyond the time that it may drain."""


class ProcessState(BaseModel):
    """One process as the state file tells it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    pid: int
    phase: Phase
    mark: str
    """An argument of its command line by which it is recognised: its pid may be somebody else's by now."""
    address: str
    """`host:port`, or the URL that people open."""
    health: str | None
    """URL of its `/healthz`; None for the broker."""
    log: str
    started_at: str
    restarts: int = 0


class World(BaseModel):
    """The state file. `environment` is read by every command of this home, after explicit settings."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    environment: dict[str, str]
    processes: list[ProcessState] = Field(default_factory=list)
    supervisor: int
    mark: str
    started_at: str
    ready: bool = False
    """Everything has been healthy at once since the start."""

    def process(self, name: str) -> ProcessState | None:
        """The process of that name."""
        return next((process for process in self.processes if process.name == name), None)


def read_world(home: Path) -> World | None:
    """The state file; None if there is none or it is damaged. Whether its processes live is another question."""
    try:
        return World.model_validate_json(state_file(home).read_bytes())
    except (OSError, ValueError):
        return None


def living_world(home: Path) -> World | None:
    """The world of this home if its supervisor lives; a file that a killed one left behind counts for nothing."""
    world = read_world(home)
    return world if world is not None and is_ours(world.supervisor, world.mark) else None


def write_world(home: Path, world: World) -> None:
    """Replace the state file as a whole; only this user may read it."""
    path = state_file(home)
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(world.model_dump_json(indent=1))
    fresh.replace(path)


def remove_world(home: Path) -> None:
    """Take the state file away."""
    state_file(home).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Service:
    """One Python process of the world."""

    name: str
    arguments: tuple[str, ...]
    """Of the interpreter, after the mark."""
    mark: str
    environment: Mapping[str, str]
    """Variables beside those of the user's own."""
    port: int
    address: str
    stop_s: float
    """From SIGTERM to SIGKILL."""

    @property
    def health(self) -> str:
        """Where it tells how it is."""
        return f"http://127.0.0.1:{self.port}/healthz"

    @property
    def command(self) -> list[str]:
        """The command line; Python ignores an unknown `-X` option, people and `novix down` recognise it."""
        return [sys.executable, "-X", self.mark, *self.arguments]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, beside what the user's own settings name."""

    local_broker: bool
    local_hf: bool


def mark_of(home: Path, name: str) -> str:
    """The argument by which a process of this home is recognised."""
    return f"novix.{name}={home}"


def plan(loaded: Loaded, hf: HfChoice) -> Plan:
    """What of the world is ours to start: explicit addresses are somebody else's.

    Raises `CommandError` where `--hf` contradicts the settings.
    """
    explicit = {field for field, source in loaded.sources.items() if source in ("environment", ".env")}
    settings = loaded.settings
    if hf == "real" and not (
        settings.hf_token.get_secret_value() or settings.hf_token_file or settings.hf_token_sealed_file
    ):
        raise CommandError(
            "--hf real calls Hugging Face and wants a token: set HF_TOKEN=hf_... (or NOVIX_HF_TOKEN_FILE); "
            "without one, leave --hf out and the sandbox answers",
            Exit.USAGE,
        )
    if hf == "local" and "hf_router_url" in explicit:
        raise CommandError(
            f"--hf local, but NOVIX_HF_ROUTER_URL={settings.hf_router_url!r} is set: leave one of them out", Exit.USAGE
        )
    return Plan(
        local_broker="kafka_bootstrap" not in explicit,
        local_hf=hf == "local" or (hf == "auto" and "hf_router_url" not in explicit),
    )


def hf_variables(url: str, loaded: Loaded) -> dict[str, str]:
    """The variables that point everything at the local Hugging Face, except where the user named another."""
    addresses = dict.fromkeys(("hf_router_url", "hf_hub_url", "sandbox_url", "endpoints_url"), url)
    offered = {**addresses, "hf_token": SANDBOX_TOKEN}
    told = loaded.sources
    if loaded.settings.hf_token_file or loaded.settings.hf_token_sealed_file:
        del offered["hf_token"]
    return {
        f"NOVIX_{field.upper()}": value
        for field, value in offered.items()
        if told[field] not in ("environment", ".env")
    }


def workers(choice: WorkersChoice) -> dict[str, tuple[str, ...]]:
    """The worker processes and which modalities each does.

    `one` does all: each further process would be some 100 MB more, for work that waits for the network. `each` keeps a
    modality's memory, and its faults, to itself.
    """
    if choice == "one":
        return {"worker": tuple(MODALITY_TOPICS)}
    return {f"worker-{modality}": (modality,) for modality in MODALITY_TOPICS}


def process_order(names: Iterable[str]) -> list[str]:
    """The names of processes, in the order in which they are started."""
    order = [
        "broker",
        "hugging-face",
        "router",
        *workers("one"),
        *workers("each"),
        "console",
        "alerts",
        "audit",
        "hub-sync",
        "endpoints",
        "relay",
    ]
    return sorted(names, key=order.index)


def services(
    home: Path, loaded: Loaded, ports: Mapping[str, int], shared: Mapping[str, str], choice: WorkersChoice = "one"
) -> list[Service]:
    """The processes after broker and local Hugging Face, in the order of their start: those that `ports` names, of
    which only `relay` may be missing."""
    drain_s = loaded.settings.drain_s

    def service(name: str, command: tuple[str, ...], *, stop_s: float, extra: Mapping[str, str]) -> Service:
        port = ports[name]
        address = f"http://127.0.0.1:{port}"
        return Service(
            name, ("-m", "console", *command), mark_of(home, name), {**shared, **extra}, port, address, stop_s
        )

    return [
        service("router", ("router",), stop_s=drain_s + STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports["router"])}),
        *(
            service(
                name, ("worker", *modalities), stop_s=drain_s + STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports[name])}
            )
            for name, modalities in workers(choice).items()
        ),
        service("console", ("console",), stop_s=STOP_S, extra={"NOVIX_CONSOLE_PORT": str(ports["console"])}),
        service("alerts", ("alerts", "run"), stop_s=STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports["alerts"])}),
        service("audit", ("audit", "checkpoint"), stop_s=STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports["audit"])}),
        service("hub-sync", ("hub", "serve"), stop_s=STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports["hub-sync"])}),
        service("endpoints", ("endpoints", "run"), stop_s=STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports["endpoints"])}),
        *(
            service(name, (name,), stop_s=STOP_S, extra={"NOVIX_HEALTH_PORT": str(ports[name])})
            for name in ("relay",)
            if name in ports
        ),
    ]


def hugging_face(home: Path, cache: Path, port: int, hub_rows: int = 2_000) -> Service:
    """The sandbox's Hugging Face; its Hub lists so many generated models."""
    return Service(
        "hugging-face",
        (
            "-m",
            "sandbox.hf",
            "--port",
            str(port),
            "--state",
            str(home / "hf"),
            "--cache",
            str(cache),
            "--hub-rows",
            str(hub_rows),
        ),
        mark_of(home, "hugging-face"),
        {},
        port,
        f"http://127.0.0.1:{port}",
        STOP_S,
    )


def restart_delay_s(quick_deaths: int) -> float:
    """Seconds until a process that died is started again: 0.2, doubled by each death soon after a start, at most 10."""
    return min(LONGEST_RESTART_S, 0.2 * 2.0 ** min(quick_deaths, 10))


def now() -> str:
    """The present instant as the state file writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
