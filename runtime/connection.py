"""How every Kafka client of ours connects: servers, TLS, SASL, and limits that the clients share."""

import ssl
from typing import Any

from aiokafka.helpers import create_ssl_context

from runtime.settings import Settings
from schemas.topics import TOPICS

REQUEST_TIMEOUT_MS = 10_000
RETRY_BACKOFF_MS = 20
MAX_REQUEST_BYTES = max(topic.limit_bytes for topic in TOPICS)
"""Of one record on its way to the broker, which knows each topic's own limit."""


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
