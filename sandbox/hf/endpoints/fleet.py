"""All endpoints of the sandbox, as the management API changes and shows them. No HTTP; refusals are `wire.Refusal`.

What it was asked for is refused by the rules of the OpenAPI document and of the official client; where the words of a
refusal were not recorded they are ours.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.hf import wire
from sandbox.hf.endpoints import prices
from sandbox.hf.endpoints.machine import PENDING_REQUESTS, Machine, Times

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
TYPES = frozenset({"public", "authenticated", "private"})
ACCELERATORS = frozenset({"cpu", "gpu", "neuron"})
FRAMEWORKS = frozenset({"custom", "pytorch", "llamacpp"})
IMAGES = frozenset(
    {"huggingface", "hfServe", "huggingfaceNeuron", "vLLM", "sGLang", "tgi", "tgiNeuron", "tei", "llamacpp", "custom"}
)
MOST_REPLICAS = 100
SCALE_TO_ZERO_MINUTES = 15
WHO = {"id": "000000000000000000000000", "name": "novix-sandbox"}
MOST_LINES = 1_000


@dataclass
class Endpoint:
    """One of them: what it was asked to be, and the machine behind it."""

    namespace: str
    name: str
    id: str
    asked: dict[str, Any]
    """The body, as it holds now; secrets by name alone."""
    machine: Machine
    created: datetime
    url: str = ""
    requests: int = 0
    failed: int = 0

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass
class Fleet:
    """The endpoints of every namespace. One owner: the server's loop."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    times: Times = field(default_factory=Times)
    base: str = ""
    """Address below which their doors are; a server tells its own."""
    no_capacity: set[str] = field(default_factory=set)
    """Compute ids of which no machine is found."""
    update_fails: bool = False
    writes: int = 0
    """Calls that changed something, or would have."""
    _all: dict[str, Endpoint] = field(default_factory=dict)
    _gone: list[Endpoint] = field(default_factory=list)
    """Deleted: their bill stays."""

    def listed(self, namespace: str) -> list[dict[str, Any]]:
        """By name."""
        return [self.shown(one) for one in sorted(self._seen(), key=lambda one: one.name) if one.namespace == namespace]

    def of(self, namespace: str, name: str) -> Endpoint:
        """One of them, as it is now. Raises 404."""
        found = self._all.get(f"{namespace}/{name}")
        if found is None:
            raise wire.Refusal(404, {"error": "Not found"})
        found.machine.advance(self.clock())
        return found

    def by_id(self, endpoint_id: str) -> Endpoint | None:
        """Whose door it is."""
        found = next((one for one in self._all.values() if one.id == endpoint_id), None)
        if found is not None:
            found.machine.advance(self.clock())
        return found

    def create(self, namespace: str, body: Any) -> dict[str, Any]:
        """202: it is pending."""
        self.writes += 1
        asked = checked(body)
        name, now = asked["name"], self.clock()
        if f"{namespace}/{name}" in self._all:
            raise wire.Refusal(409, {"error": f"Endpoint {name} already exists"})
        row = _row(asked)
        compute, scaling = asked["compute"], asked["compute"]["scaling"]
        used = self._used().get(_compute_id(asked), 0)
        wanted = prices.accelerators(row) * max(1, scaling["maxReplica"])
        if used + wanted > prices.QUOTA[row["accelerator"]]:
            limit = prices.QUOTA[row["accelerator"]]
            told = f"Quota exceeded: {used} of {limit} accelerators in use, {wanted} requested"
            raise wire.Refusal(403, {"error": told})
        endpoint_id = hashlib.sha256(f"{namespace}/{name}/{now.isoformat()}".encode()).hexdigest()[:16]
        machine = Machine(
            f"{namespace}/{name}", compute["accelerator"], row["nanousd"], scaling["minReplica"], scaling["maxReplica"],
            _rest(scaling), now, scaling["measure"]["pendingRequests"], times=self.times,
            capacity=_compute_id(asked) not in self.no_capacity, update_fails=self.update_fails,
        )  # fmt: skip
        machine.begin(now)
        made = Endpoint(namespace, name, endpoint_id, asked, machine, now)
        self._all[made.key] = made
        return self.shown(made)

    def update(self, namespace: str, name: str, body: Any) -> dict[str, Any]:
        """202: it is updating, where it runs."""
        self.writes += 1
        endpoint, now = self.of(namespace, name), self.clock()
        if endpoint.machine.state == "updating":
            raise wire.Refusal(400, {"error": "Bad Request: Invalid state: endpoint is updating"})
        asked = checked(_merged(endpoint.asked, body))
        row, scaling, machine = _row(asked), asked["compute"]["scaling"], endpoint.machine
        machine.scale_to_zero, machine.pending_requests = _rest(scaling), scaling["measure"]["pendingRequests"]
        machine.scale(scaling["minReplica"], scaling["maxReplica"], now)
        anew = [_without_scaling(endpoint.asked), _without_scaling(asked)]
        machine.capacity, machine.update_fails = _compute_id(asked) not in self.no_capacity, self.update_fails
        if anew[0] != anew[1]:
            machine.update(now, asked["compute"]["accelerator"], row["nanousd"])
        endpoint.asked = asked
        return self.shown(endpoint)

    def pause(self, namespace: str, name: str) -> dict[str, Any]:
        """202: it is paused, until somebody resumes it."""
        self.writes += 1
        endpoint = self.of(namespace, name)
        if endpoint.machine.state != "paused":
            endpoint.machine.pause(self.clock())
        return self.shown(endpoint)

    def resume(self, namespace: str, name: str) -> dict[str, Any]:
        """202: it is pending. 400 where it runs already."""
        self.writes += 1
        endpoint = self.of(namespace, name)
        if endpoint.machine.state not in ("paused", "scaledToZero", "failed"):
            raise wire.Refusal(400, {"error": "Bad Request: Invalid state: endpoint is already running"})
        endpoint.machine.capacity = _compute_id(endpoint.asked) not in self.no_capacity
        endpoint.machine.begin(self.clock())
        return self.shown(endpoint)

    def scale_to_zero(self, namespace: str, name: str) -> dict[str, Any]:
        """202: it sleeps. 400 where it cannot."""
        self.writes += 1
        endpoint = self.of(namespace, name)
        if endpoint.machine.state not in ("running", "updateFailed", "scaledToZero"):
            raise wire.Refusal(400, {"error": f"Bad Request: Invalid state: endpoint is {endpoint.machine.state}"})
        if endpoint.machine.least:
            raise wire.Refusal(400, {"error": "Bad Request: minReplica must be 0 to scale to zero"})
        if endpoint.machine.state != "scaledToZero":
            endpoint.machine.sleep(self.clock())
        return self.shown(endpoint)

    def delete(self, namespace: str, name: str) -> None:
        """202, and it is gone."""
        self.writes += 1
        endpoint = self.of(namespace, name)
        endpoint.machine.delete(self.clock())
        self._gone.append(self._all.pop(endpoint.key))

    def provider(self) -> dict[str, Any]:
        """`/v2/provider`."""
        return prices.listing(self._used(), frozenset(self.no_capacity))

    def bill(self) -> dict[str, Any]:
        """What every endpoint was billed for until now; also those that are gone."""
        now = self.clock()
        rows = [
            {
                "endpoint": one.key,
                "id": one.id,
                "replica_minutes": one.machine.billed_minutes(now),
                "cost_nanousd": one.machine.bill(now),
            }
            for one in [*self._seen(), *self._gone]
        ]
        return {"endpoints": rows, "total_nanousd": sum(row["cost_nanousd"] for row in rows), "until": stamp(now)}

    def shown(self, endpoint: Endpoint) -> dict[str, Any]:
        """The endpoint as the API shows it."""
        machine, asked = endpoint.machine, endpoint.asked
        machine.advance(self.clock())
        status = {
            "createdAt": stamp(endpoint.created),
            "createdBy": WHO,
            "updatedAt": stamp(machine.since),
            "updatedBy": WHO,
            "private": None,
            **machine.status(),
        }
        if machine.starts and machine.state not in ("pending", "failed") and self.base:
            status["url"] = f"{self.base}/endpoints/{endpoint.id}"
        if machine.last_used is not None:
            status["lastUsedAt"] = stamp(machine.last_used)
        return {**asked, "accountId": None, "healthRoute": "/health", "status": status, "id": endpoint.id}

    def _seen(self) -> list[Endpoint]:
        now = self.clock()
        for one in self._all.values():
            one.machine.advance(now)
        return list(self._all.values())

    def _used(self) -> dict[str, int]:
        used: dict[str, int] = {}
        for one in self._seen():
            if one.machine.target:
                name = _compute_id(one.asked)
                used[name] = used.get(name, 0) + one.machine.target * prices.accelerators(_row(one.asked))
        return used


def stamp(at: datetime) -> str:
    """ISO 8601 with microseconds, as the API tells instants."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def checked(body: Any) -> dict[str, Any]:
    """The body of a create with every default in it. Raises 400 naming the field."""
    if not isinstance(body, dict):
        raise _bad("the body must be an object")
    name = _text(body, "name")
    if not NAME.fullmatch(name):
        raise _bad(f"name: {len(name)} characters; 1 to 32 of a-z, 0-9 and - are allowed")
    kind = _text({"type": "authenticated", **body}, "type")
    if kind not in TYPES:
        raise _bad("type: must be public, authenticated or private")
    provider, compute, model = (_object(body, part) for part in ("provider", "compute", "model"))
    accelerator = _text(compute, "accelerator")
    if accelerator not in ACCELERATORS:
        raise _bad("compute.accelerator: must be cpu, gpu or neuron")
    framework = _text({"framework": "pytorch", **model}, "framework")
    if framework not in FRAMEWORKS:
        raise _bad("model.framework: must be custom, pytorch or llamacpp")
    image = model.get("image", {"huggingface": {}})
    if not isinstance(image, dict) or len(image) != 1 or not set(image) <= IMAGES:
        raise _bad(f"model.image: must have one of {', '.join(sorted(IMAGES))}")
    secrets = model.get("secrets", {})
    return {
        "name": name,
        "type": kind,
        "provider": {"vendor": _text(provider, "vendor"), "region": _text(provider, "region")},
        "compute": {
            "accelerator": accelerator,
            "instanceType": _text(compute, "instanceType"),
            "instanceSize": _text(compute, "instanceSize"),
            "scaling": _scaling(compute.get("scaling", {})),
        },
        "model": {
            "repository": _text(model, "repository"),
            "revision": model.get("revision"),
            "task": _text(model, "task"),
            "framework": framework,
            "image": image,
            "env": _object({"env": model.get("env", {})}, "env"),
            "secrets": dict.fromkeys(_object({"secrets": secrets}, "secrets"), "***"),
        },
        "tags": _tags(body.get("tags", [])),
    }


def _tags(tags: Any) -> list[str]:
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _bad("tags: must be a list of texts")
    return tags


def _scaling(scaling: Any) -> dict[str, Any]:
    if not isinstance(scaling, dict) or not isinstance(scaling.get("measure") or {}, dict):
        raise _bad("compute.scaling: must be an object")
    least, most = scaling.get("minReplica", 0), scaling.get("maxReplica", 1)
    if type(least) is not int or type(most) is not int or not 0 <= least <= most <= MOST_REPLICAS or most < 1:
        raise _bad(f"compute.scaling: 0 <= minReplica <= maxReplica <= {MOST_REPLICAS}, and maxReplica at least 1")
    rest = scaling.get("scaleToZeroTimeout", SCALE_TO_ZERO_MINUTES)
    if rest is not None and (type(rest) is not int or not 1 <= rest <= 10_080):
        raise _bad("compute.scaling.scaleToZeroTimeout: must be null or 1 to 10080 minutes")
    pending = (scaling.get("measure") or {}).get("pendingRequests", PENDING_REQUESTS)
    if not isinstance(pending, int | float) or isinstance(pending, bool) or not pending > 0:
        raise _bad("compute.scaling.measure.pendingRequests: must be above 0")
    measure = {"pendingRequests": float(pending)}
    return {"minReplica": least, "maxReplica": most, "scaleToZeroTimeout": rest, "measure": measure}


def _row(asked: dict[str, Any]) -> dict[str, Any]:
    provider, compute = asked["provider"], asked["compute"]
    row = prices.find(provider["vendor"], provider["region"], compute["instanceType"], compute["instanceSize"])
    if row is None or row["accelerator"] != compute["accelerator"]:
        raise _bad(f"compute: there is no {_compute_id(asked)[:200]} with accelerator {compute['accelerator']}")
    return row


def _compute_id(asked: dict[str, Any]) -> str:
    provider, compute = asked["provider"], asked["compute"]
    return prices.compute_id(provider["vendor"], provider["region"], compute["instanceType"], compute["instanceSize"])


def _rest(scaling: dict[str, Any]) -> timedelta | None:
    rest = scaling["scaleToZeroTimeout"]
    return None if rest is None else timedelta(minutes=rest)


def _without_scaling(asked: dict[str, Any]) -> dict[str, Any]:
    """What needs new replicas when it changes."""
    compute = {name: value for name, value in asked["compute"].items() if name != "scaling"}
    return {**asked, "compute": compute, "tags": None, "type": None}


def _merged(old: Any, new: Any) -> Any:
    """Fields of `new` in place of those of `old`; objects field by field, but for an image, which is one choice."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{name: value if name == "image" else _merged(old.get(name), value) for name, value in new.items()}}


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise _bad(f"{name}: must be an object")
    return value


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 256:
        raise _bad(f"{name}: must be a text of 1 to 256 characters")
    return value


def _bad(why: str) -> wire.Refusal:
    return wire.Refusal(400, {"error": f"Bad Request: {why}"})
