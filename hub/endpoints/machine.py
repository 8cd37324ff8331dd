"""The states of an endpoint, and which one may follow which. Pure."""

from collections.abc import Mapping

from schemas.endpoints import EndpointStatus

BILLED: frozenset[EndpointStatus] = frozenset({"initializing", "running", "updating", "updateFailed"})
"""In these a replica is charged for (docs: while initializing and running; a replica serves on during an update)."""
STARTING: frozenset[EndpointStatus] = frozenset({"pending", "initializing"})
SERVING: frozenset[EndpointStatus] = frozenset({"running", "updating", "updateFailed"})
"""In these it answers, once its health route has."""
GONE: frozenset[EndpointStatus] = frozenset({"deleted", "refused"})
"""In these there is no endpoint."""


def _to(*statuses: EndpointStatus) -> frozenset[EndpointStatus]:
    """These, or an end."""
    return frozenset((*statuses, "paused", "failed", "deleted"))


STEPS: Mapping[EndpointStatus, frozenset[EndpointStatus]] = {
    "refused": frozenset({"pending", "refused"}),
    "pending": _to("initializing"),
    "initializing": _to("running", "pending"),
    "running": _to("updating", "scaledToZero", "pending"),
    "updating": _to("running", "updateFailed"),
    "updateFailed": _to("updating", "running", "scaledToZero"),
    "scaledToZero": _to("pending", "initializing"),
    "paused": frozenset({"pending", "initializing", "deleted"}),
    "failed": frozenset({"pending", "updating", "paused", "deleted"}),
    "deleted": frozenset({"pending", "refused"}),
}
"""One step. Who looks rarely sees several at once."""


def follows(old: EndpointStatus, new: EndpointStatus) -> bool:
    """Whether `new` may come directly after `old`."""
    return new in STEPS[old]
