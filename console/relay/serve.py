"""`novix relay` as a process: until SIGTERM."""

import asyncio
import os
import random
import signal
from collections.abc import Mapping

import structlog

from console.exits import CommandError, Exit
from console.relay.relay import Relay
from console.relay.sending import Sender, transport_to
from console.relay.target import ENDPOINT, BadTarget, Target, target_of
from runtime import logs
from runtime.health import serve_health
from runtime.settings import Loaded

log = structlog.get_logger("novix.relay")


def serve(loaded: Loaded, environment: Mapping[str, str] = os.environ) -> Exit:
    """Relay until SIGTERM or SIGINT. Raises `CommandError` without a receiver, and when Kafka does not answer."""
    logs.configure(loaded.settings.log_level, loaded.settings.log_format)
    try:
        target = target_of(environment)
    except BadTarget as error:
        raise CommandError(str(error), Exit.USAGE) from None
    if target is None:
        raise CommandError(
            f"{ENDPOINT} is not set, or OTEL_TRACES_EXPORTER or OTEL_SDK_DISABLED says that no trace is sent: there is "
            "nowhere to send spans to",
            Exit.USAGE,
        )
    asyncio.run(_serve(loaded, target))
    return Exit.OK


async def _serve(loaded: Loaded, target: Target) -> None:
    settings, stop = loaded.settings, asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        transport = transport_to(target)
    except OSError as error:
        raise CommandError(f"{ENDPOINT}: a certificate cannot be read: {type(error).__name__}", Exit.USAGE) from None
    async with Sender(target, transport) as sender:
        relay = Relay(settings, sender, random.SystemRandom().random)
        async with serve_health(  # a receiver that is away is no fault of this process
            settings.health_port, "relay", relay.describe, lambda: True, lambda: relay.ready
        ) as port:
            try:
                await relay.start()
            except Exception as error:
                raise CommandError(
                    f"Kafka does not answer at {settings.kafka_bootstrap} (from {loaded.sources['kafka_bootstrap']}): "
                    f"{type(error).__name__}",
                    Exit.UNREACHABLE,
                ) from error
            log.info("relay.opened", to=target.url, health=f"http://127.0.0.1:{port}/healthz")
            try:
                await stop.wait()
            finally:
                await relay.stop()
