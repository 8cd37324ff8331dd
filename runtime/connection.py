"""How every Kafka client of ours connects: servers, TLS, SASL, and limits that the clients share."""

import ssl
import weakref
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.helpers import create_ssl_context

from runtime.metadata import keep_up_to_date
from runtime.settings import Settings
from schemas.topics import TOPICS

REQUEST_TIMEOUT_MS = 10_000
RETRY_BACKOFF_MS = 20
MAX_REQUEST_BYTES = max(topic.limit_bytes for topic in TOPICS)
"""Of one record on its way to the broker, which knows each topic's own limit."""


class Fetched(fetcher.PartitionRecords):  # type: ignore[misc]
    """One fetched answer, up to a megabyte, freed as soon as nobody wants the rest of it.

    aiokafka's (0.14) holds itself until it was read to its end. Each reader that stops before, and each lane that seeks
    elsewhere, would leave one until the garbage is collected, which happens seldom here (`runtime/shell.py`).
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._records_iterator = self.__class__._unpack_records(weakref.proxy(self))


fetcher.PartitionRecords = Fetched
keep_up_to_date()


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that consumers, producers and admin clients share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls(settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_username
        options["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return options


def _tls(ca_file: str) -> ssl.SSLContext:
    context: ssl.SSLContext = create_ssl_context(cafile=ca_file or None)
    return context
