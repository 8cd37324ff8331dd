"""The world's Kafka: one of ours on this machine, found again if it outlived its supervisor, or one in a container."""

from console.world import BrokerChoice, Phase, ProcessState, now
from runtime.settings import Settings
from sandbox.fetch import Say
from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.container import ContainerBroker


class Broker:
    """What the supervisor asks of either kind. `start` and `stop` block, and may run on any thread, one at a time."""

    def __init__(self, settings: Settings, choice: BrokerChoice, say: Say) -> None:
        self._local: LocalBroker | None = None
        self._container: ContainerBroker | None = None
        if choice == "local":
            # Detached, because it is started on a thread that ends; `attach` finds it if we are killed.
            self._local = LocalBroker(settings.home / "kafka", cache=settings.cache, detach=True, say=say)
        else:
            self._container = ContainerBroker()

    def start(self) -> str:
        """Return the bootstrap address when it serves. Raises `BrokerError` or `FetchError`."""
        if self._local is not None:
            if self._local.attach():
                self._local.wait_ready()
            else:
                self._local.start()
        elif self._container is not None:
            self._container.start()
        return self.bootstrap

    def stop(self) -> None:
        """Stop it; without effect when it does not run."""
        if self._local is not None:
            self._local.stop()
        elif self._container is not None:
            self._container.stop()

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        broker = self._local or self._container
        assert broker is not None  # noqa: S101 - one of them is set by __init__
        return broker.bootstrap

    @property
    def running(self) -> bool:
        """Whether its process exists; a container is its engine's business."""
        return self._local is None or self._local.running

    def state(self, phase: Phase, restarts: int) -> ProcessState:
        """How the state file tells it."""
        local = self._local
        return ProcessState(
            name="broker",
            pid=local.pid if local is not None and local.running else 0,
            phase=phase,
            mark=local.home.mark if local is not None else "",
            address=self.bootstrap,
            health=None,
            log=str(local.log_path) if local is not None else "",
            started_at=now(),
            restarts=restarts,
        )
