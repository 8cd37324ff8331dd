"""Where a call may go, and who may be shown a credential. Decisions only: no socket, no lookup."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
"""Request headers that carry a secret; lower case."""

DEFAULT_PORTS = {"https": 443, "http": 80}
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""RFC 1918, RFC 6598 and RFC 4193: where a name that the operator lists may lead beside the public internet."""
LOOPBACK = ("127.0.0.0/8", "::1/128")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""The well-known prefix of RFC 6052: its last 32 bits are an IPv4 address that a gateway connects to."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""What of IPv6 is given out as global unicast; outside of it are local NAT64, site-local and old forms of IPv4."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port. A host that begins with `*.` stands for every name below it."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> "Origin":
        """The origin of `url`, its default port written out."""
        return cls(url.scheme, url.host.lower().rstrip("."), url.port or DEFAULT_PORTS.get(url.scheme, 0))

    def covers(self, other: "Origin") -> bool:
        """Whether `other` is this origin, or lies below its `*.`."""
        if (self.scheme, self.port) != (other.scheme, other.port):
            return False
        return other.host.endswith(self.host[1:]) if self.host.startswith("*.") else other.host == self.host


class Egress:
    """The list of places that a call may reach.

    `origins` (`https://router.huggingface.co`, `https://*.endpoints.huggingface.cloud`,
    `http://127.0.0.1:8901`; a path is ignored) may be called and may be shown credentials; scheme, host and port
    must match, so a token never travels in clear unless someone wrote `http://` here. With `elsewhere` any
    https host may be called too, at port 443, but without credentials.

    Addresses outside the public internet are refused, but for the hosts in `origins` at their own ports: each may be in
    one of the networks in `private`, and one that is written as an address, or is `localhost`, may be there.
    """

    def __init__(self, origins: Iterable[str], *, private: Iterable[str] = (), elsewhere: bool = False) -> None:
        self._origins = tuple(_parse(origin) for origin in origins)
        self._elsewhere = elsewhere
        listed = tuple(ipaddress.ip_network(one) for one in private)
        self._private = {origin: listed + _itself(origin.host) for origin in self._origins}

    def why_not(self, url: httpx.URL, *, credentials: bool) -> str | None:
        """Why `url` must not be called (with `credentials`: a header that carries a secret), or None if it may."""
        origin = Origin.of(url)
        if url.userinfo:
            return "the URL carries a user name or password"
        if origin.scheme not in DEFAULT_PORTS:
            return f"the scheme is {origin.scheme!r}; it may be http or https"
        listed = self._lists(origin)
        if not listed and not (self._elsewhere and origin.scheme == "https" and origin.port == DEFAULT_PORTS["https"]):
            return "the host is not on the list of hosts that may be called"
        if not listed and credentials:
            return "the request carries a credential and the host may not be shown one"
        literal = _address(origin.host) is not None
        return self.why_not_address(origin.host, origin.port, origin.host) if literal else None

    def why_not_address(self, host: str, port: int, address: str) -> str | None:
        """Why `host` at `port` must not be reached at `address` (which a lookup gave), or None if it may."""
        parsed = _address(address)
        if parsed is None:
            return "the lookup gave something that is no address"
        reached = _reached_by(parsed)
        if reached.is_global and not reached.is_multicast and (reached.version == 4 or reached in _UNICAST):
            return None
        for origin, networks in self._private.items():
            there = Origin(origin.scheme, host.lower().rstrip("."), port)
            if origin.covers(there) and any(reached in network for network in networks):
                return None
        return "the address is not on the public internet and not listed as a private one"

    def _lists(self, origin: Origin) -> bool:
        return any(one.covers(origin) for one in self._origins)


def _parse(text: str) -> Origin:
    url = httpx.URL(text)
    if url.scheme not in DEFAULT_PORTS or not url.host or url.userinfo:
        raise ValueError(f"an origin of {len(text)} characters is not of the form https://host[:port]")
    return Origin.of(url)


def _itself(host: str) -> tuple[Network, ...]:
    """The private networks that an origin lists by being written as it is. Not a link-local one: clouds keep the
    machine's own credentials there."""
    if host == "localhost":
        return tuple(ipaddress.ip_network(one) for one in LOOPBACK)
    address = _address(host)
    return () if address is None or _reached_by(address).is_link_local else (ipaddress.ip_network(address),)


@lru_cache(maxsize=1_024)  # asked three times for each call
def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _reached_by(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
