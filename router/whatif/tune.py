"""The parameter of a policy that meets a budget, by replay over a grid, and what it gives up. Pure."""

from collections.abc import Mapping, Sequence

from router.policies import Policy, made
from router.whatif.study import Alternative, Report, Tally
from schemas.values import frozen

TUNABLE: Mapping[str, str] = {"brief/1": "cheap_below", "balanced/1": "cost"}
"""The parameter of each policy that trades money against quality: more of it is cheaper."""
STEPS = 20
"""Of the grid from 0 to 1."""


def grid(policy: str, steps: int = STEPS) -> list[Alternative]:
    """An alternative for each value, named by it. Raises KeyError for a policy without such a parameter."""
    parameter = TUNABLE[policy]
    return [_alternative(policy, parameter, step / steps) for step in range(steps + 1)]


def _alternative(policy: str, parameter: str, value: float) -> Alternative:
    chosen: Policy = made(policy, {parameter: value})
    return Alternative(f"{value:g}", lambda _, __: chosen)


@frozen
class Choice:
    """One value, with what its replay gave."""

    value: float
    tally: Tally


@frozen
class Proposal:
    """What to set."""

    chosen: Choice | None
    """The value that keeps most of the dearer models within the budget; None: no value meets it."""
    least: Choice
    """The cheapest of all values."""
    choices: Sequence[Choice]
    """All, in the order of their values."""


def proposal(reports: Mapping[str, Report], budget_nanousd: int) -> Proposal:
    """Of the values whose jobs would have cost at most the budget, the one that would have spent most of it: it gives
    up least. Of equal ones that which refuses fewest, then the smallest. Raises ValueError without reports."""
    if not reports:
        raise ValueError("nothing was tried")
    choices = sorted((Choice(float(name), report.whole) for name, report in reports.items()), key=lambda one: one.value)
    fitting = [one for one in choices if one.tally.would_nanousd <= budget_nanousd]
    chosen = min(fitting, key=lambda one: (-one.tally.would_nanousd, one.tally.fates["refused"]), default=None)
    least = min(choices, key=lambda one: (one.tally.would_nanousd, one.tally.fates["refused"]))
    return Proposal(chosen, least, choices)
