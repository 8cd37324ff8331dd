"""Where spans go: the standard `OTEL_EXPORTER_OTLP_*` variables, read as OpenTelemetry's Python exporter reads them.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/: what names traces wins over what names all signals. Pure.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from runtime.settings import is_plain_address
from schemas.values import frozen

PATH = "/v1/traces"
PREFIX = "OTEL_EXPORTER_OTLP_"
ENDPOINT = PREFIX + "ENDPOINT"
TRACES_ENDPOINT = PREFIX + "TRACES_ENDPOINT"
EXPORTER = "OTEL_TRACES_EXPORTER"
TIMEOUT_S = 10.0
LONGEST_TIMEOUT_S = 600.0
MOST_HEADERS = 64


class BadTarget(Exception):
    """A variable has a value that cannot be used. Names the variable, never a header's value."""


@frozen
class Target:
    """One receiver of OTLP over HTTP, in protobuf."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = TIMEOUT_S
    """Of one request."""
    gzip: bool = False
    ca_file: str = ""
    """Certificates (PEM) that the receiver's is checked against; empty: the machine's."""
    client_certificate: str = ""
    client_key: str = ""

    def __repr__(self) -> str:
        return f"Target({self.url})"  # headers carry credentials


def target_of(environment: Mapping[str, str]) -> Target | None:
    """The receiver that the environment names; None if it names none, or wants no traces sent: OTEL_SDK_DISABLED=true,
    or OTEL_TRACES_EXPORTER without `otlp`. Raises `BadTarget`."""
    exporters = environment.get(EXPORTER, "").strip() or "otlp"
    if "otlp" not in [name.strip() for name in exporters.split(",")]:
        return None
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None

    def told(name: str, default: str = "") -> str:
        return environment.get(f"{PREFIX}TRACES_{name}", "").strip() or environment.get(PREFIX + name, default).strip()

    url = environment.get(TRACES_ENDPOINT, "").strip()
    if not url and (base := environment.get(ENDPOINT, "").strip()):
        url = base.rstrip("/") + PATH
    if not url:
        return None
    if not is_plain_address(url):
        raise BadTarget(f"{ENDPOINT} must be http(s)://host[:port][/path] without user or query")
    protocol, compression = told("PROTOCOL", "http/protobuf"), told("COMPRESSION", "none").lower()
    if protocol != "http/protobuf":
        raise BadTarget(f"{PREFIX}PROTOCOL={protocol!r}: the relay speaks http/protobuf")
    if compression not in ("none", "gzip"):
        raise BadTarget(f"{PREFIX}COMPRESSION={compression!r}: must be gzip or none")
    if bool(told("CLIENT_KEY")) != bool(told("CLIENT_CERTIFICATE")):
        raise BadTarget(f"{PREFIX}CLIENT_KEY and {PREFIX}CLIENT_CERTIFICATE belong together")
    return Target(
        url, _headers(told("HEADERS")), _seconds(told("TIMEOUT", str(TIMEOUT_S))), compression == "gzip",
        told("CERTIFICATE"), told("CLIENT_CERTIFICATE"), told("CLIENT_KEY"),
    )  # fmt: skip


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    """`key=value,key=value`, values percent-encoded, as W3C Baggage has them without its properties."""
    told: list[tuple[str, str]] = []
    for member in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = member.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        if not equals or not name or not all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name):
            raise BadTarget(f"{PREFIX}HEADERS: member {len(told) + 1} is no name=value")
        if not (name.isascii() and value.isascii() and value.isprintable()):
            raise BadTarget(f"{PREFIX}HEADERS: the value of {name} is no plain text")
        told.append((name, value))
    if len(told) > MOST_HEADERS:
        raise BadTarget(f"{PREFIX}HEADERS: {len(told)} of them; there may be {MOST_HEADERS}")
    return tuple(told)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_TIMEOUT_S:
        raise BadTarget(f"{PREFIX}TIMEOUT={text!r}: must be seconds, more than 0 and at most {LONGEST_TIMEOUT_S:.0f}")
    return seconds
