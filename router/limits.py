"""Generation parameters: the job's own value, else the policy's, else the installation's; then the limits.

`assignment.parameters` names them neutrally: `max_tokens`, `temperature`, `top_p`. A worker writes them over the input
where the task keeps them: at the root of a chat, as `max_new_tokens`, `temperature` and `top_p` under `parameters` of a
text generation. Tasks that generate nothing get none.
"""

from typing import Any

from router import estimate
from router.catalogue import Offer
from router.load import GENERATIVE, Load
from router.view import Limits
from schemas.values import frozen

LEAST_USEFUL_TOKENS = 16
"""An offer that money or context would cut below this is not taken: such an answer is paid for and worth nothing."""

MOST_TOLD = 2**53
"""A larger wish is told as this: JSON readers keep no more digits."""


@frozen
class Clamped:
    """How many tokens of output a call may have, and which limit said so."""

    max_tokens: int
    bound_by: str | None
    """`job`: its own number stands; `cap`, `context`, `money` (the job's ceiling), `budget`: that limit cut it; None:
    the default stands."""


def clamp(asked: int | None, offer: Offer, load: Load, ceiling: int, limits: Limits) -> Clamped:
    """The tokens that `offer` may generate: what is wanted, cut by the cap, by the offer's context and by money.

    The tightest limit is the one that is named. Negative: not even the input fits.
    """
    wanted = limits.default_max_tokens if asked is None else asked
    room, name = limits.max_tokens, "cap"
    if offer.context_tokens is not None and offer.context_tokens - load.context_tokens < room:
        room, name = offer.context_tokens - load.context_tokens, "context"
    affordable = estimate.affordable_tokens(offer.rates, load, ceiling) if offer.rates else None
    if affordable is not None and affordable < room:
        room, name = affordable, "money"
    if room < wanted:
        return Clamped(room, name)
    return Clamped(wanted, None if asked is None else "job")


def unbound(asked: int | None, limits: Limits) -> Clamped:
    """The same where neither context nor money binds."""
    wanted = limits.default_max_tokens if asked is None else asked
    if limits.max_tokens < wanted:
        return Clamped(limits.max_tokens, "cap")
    return Clamped(wanted, None if asked is None else "job")


def least_tokens(asked: int | None) -> int:
    """The output that an offer must be able to give to be taken at all."""
    return LEAST_USEFUL_TOKENS if asked is None else min(asked, LEAST_USEFUL_TOKENS)


def parameters(
    task: str, task_input: dict[str, Any], max_tokens: int, policy_temperature: float | None, limits: Limits
) -> dict[str, Any]:
    """What the worker writes over the input. Only for generating tasks."""
    if task not in GENERATIVE:
        return {}
    given = estimate.generation_parameters(task, task_input)
    if given.get("do_sample") is False:  # greedy: a temperature would switch sampling on again
        return {"max_tokens": max_tokens}
    temperature, top_p = given.get("temperature"), given.get("top_p")
    if temperature is None:
        temperature = limits.temperature if policy_temperature is None else policy_temperature
    return {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": limits.top_p if top_p is None else top_p,
    }


def adapted(asked: int | None, clamped: Clamped, limits: Limits) -> dict[str, Any] | None:
    """What the result says of a parameter that a limit changed; None if none did."""
    if clamped.bound_by in (None, "job"):
        return None
    wanted = limits.default_max_tokens if asked is None else min(asked, MOST_TOLD)
    return {"max_tokens": {"asked": wanted, "given": clamped.max_tokens, "bound_by": clamped.bound_by}}
