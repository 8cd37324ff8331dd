"""How many endpoints a tenant may have, and what they may cost in an hour. Pure; refuses with the numbers."""

from collections.abc import Iterable, Mapping

from hub.endpoints.machine import GONE
from hub.endpoints.wire import Machine, Place, place_of
from schemas.endpoints import EndpointQuota, EndpointSpec, EndpointState

NONE = EndpointQuota()
"""Of a tenant of which nothing was said: it may have none."""


def quota_of(quotas: Mapping[str, EndpointQuota], tenant: str) -> EndpointQuota:
    """The tenant's own, else everybody's, else none at all."""
    return quotas.get(tenant) or quotas.get("*") or NONE


def most_of_an_hour(spec: EndpointSpec, prices: Mapping[Place, Machine]) -> int | None:
    """What it costs in an hour with all its replicas, in nano-dollars; None: its price is not known."""
    machine = prices.get(place_of(spec))
    return None if machine is None else machine.hour_nanousd * spec.scaling.max_replicas


def refusal(
    spec: EndpointSpec, states: Iterable[EndpointState], quota: EndpointQuota, prices: Mapping[Place, Machine]
) -> str:
    """Why this endpoint may not run beside the tenant's others; empty: it may.

    All that are there count as endpoints. Of the spend those that are paused do not: nothing starts them but a command,
    which is judged again. One that sleeps counts: a request wakes it.
    """
    own = [
        state
        for state in states
        if state.spec.tenant == spec.tenant and state.spec.key != spec.key and state.status not in GONE
    ]
    if len(own) + 1 > quota.most:
        return (
            f"tenant {spec.tenant} has {len(own)} endpoints and may have {quota.most}: novix endpoints quota sets more"
        )
    if quota.nanousd_per_hour is None:
        return ""
    wanted = most_of_an_hour(spec, prices)
    if wanted is None:
        return f"the price of {'/'.join(place_of(spec))} is not known, and tenant {spec.tenant} has a limit on spend"
    others = 0
    for state in own:
        if state.status != "paused":
            price = most_of_an_hour(state.spec, prices)
            if price is None:
                return f"the price of {state.spec.key} is not known, and tenant {spec.tenant} has a limit on spend"
            others += price
    if others + wanted > quota.nanousd_per_hour:
        return (
            f"{spec.scaling.max_replicas} replicas cost {wanted} nano-dollars an hour, the tenant's other endpoints "
            f"{others}; together they may cost {quota.nanousd_per_hour}"
        )
    return ""
