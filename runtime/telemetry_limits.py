"""The limits that OpenTelemetry's standard variables set to a span's attributes: longer texts are cut, what is above
the number is left out and counted in the span. By default there are none that a span of ours comes near.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/, "Attribute limits", "Span limits".
"""

import functools
from collections.abc import Mapping

import structlog
from opentelemetry.sdk.trace import SpanLimits

from runtime.otlp import AttributeValue

Attributes = Mapping[str, AttributeValue | None]
log = structlog.get_logger("novix.telemetry")
NEVER_REACHED = 128
"""Attributes; OpenTelemetry's own limit for a span. None of ours has half as many."""


@functools.cache
def told() -> SpanLimits:
    """As the environment has them. A value that is no limit is as if it were not there, as the specification wants it,
    and so are the others then."""
    try:
        return SpanLimits()
    except ValueError as error:  # names the variable and its value
        log.warning("telemetry.limits_ignored", why=str(error))
        return SpanLimits(**dict.fromkeys(_EVERY, SpanLimits.UNSET))


_EVERY = (
    "max_attributes", "max_events", "max_links", "max_span_attributes", "max_event_attributes", "max_link_attributes",
    "max_attribute_length", "max_span_attribute_length",
)  # fmt: skip


@functools.cache
def _set() -> tuple[int | None, int | None]:
    """(characters of a value, attributes of a span), each None where no span of ours can reach it."""
    limits = told()
    most = limits.max_span_attributes
    return limits.max_span_attribute_length, None if most is None or most >= NEVER_REACHED else most


def is_none() -> bool:
    """Whether there is no limit that a span of ours can reach."""
    return _set() == (None, None)


def limited(attributes: Attributes) -> tuple[Attributes, int]:
    """The attributes within the limits, and how many were left out."""
    length, most = _set()
    given = [(key, value) for key, value in attributes.items() if value is not None]
    return {key: _cut(value, length) for key, value in given[:most]}, len(given) - len(given[:most])


def _cut(value: AttributeValue, length: int | None) -> AttributeValue:
    if isinstance(value, str):
        return value[:length]
    return tuple([item[:length] for item in value]) if isinstance(value, tuple) else value
