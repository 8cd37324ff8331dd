"""What every page needs."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from console.hub.port import Hub
from console.index.reading import Index
from console.kafka import Log
from console.live.reader import Live
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The explorer's memory, the settings, and what the process around the pages knows. Shared by all requests."""

    index: Index
    describe: Callable[[], dict[str, Any]]
    """What `/healthz` tells; its `healthy` decides the status."""
    settings: Settings = field(default_factory=Settings)
    any_host: bool = False
    """Answer whatever name a request gives us. Otherwise only those that name this machine: a page of another site
    whose name points here (DNS rebinding) must not read what these pages show."""
    capture: bool = False
    """Inputs and outputs are shown."""
    ending: Callable[[], bool] = lambda: False
    """Whether the process is about to end: streams stop, so that it can."""
    live: Live | None = None
    """What brokers and processes say now; None: the pages have no way to them."""
    log: Callable[[], AbstractAsyncContextManager[Log]] | None = None
    """A connection to Kafka for the length of a block; None: the pages have none, and give no orders."""
    hub: Hub | None = None
    """The Model Hub; None: this process follows no catalogue."""
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    """The instant that ages are counted from, in milliseconds since 1970."""
