"""Two models on the same examples, example by example: is one better, or do they only differ by chance? Pure.

Where an example is right or wrong, McNemar's test in its exact form: of the examples that one of the two alone has
right, each is as likely the one's as the other's if both are equally good (Q. McNemar, "Note on the sampling error of
the difference between correlated proportions", Psychometrika 12, 1947). Other scores: a bootstrap over examples that
draws the same ones for both (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993).
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hub.compare.subject import BETTER_LOW, primary
from hub.evals.intervals import ROUNDS, Numbers, drawn
from schemas.comparison import PairedTest
from schemas.evals import EvalRun

LEVEL = 0.05
"""Below it two models are told apart."""
SEED = 20_261_123
EXACT, DRAWN = "mcnemar-exact", f"paired-bootstrap-{ROUNDS}"


def _ratio(sums: Numbers) -> Numbers:
    return np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] > 0)


def _f1(sums: Numbers) -> Numbers:
    return _ratio(np.column_stack([2 * sums[:, 0], sums[:, 1] + sums[:, 2]]))


_WAYS: dict[str, tuple[int, Callable[[Numbers], Numbers]]] = {
    "accuracy": (1, _ratio), "ndcg": (1, _ratio), "wer": (2, _ratio), "f1": (3, _f1)
}  # fmt: skip
"""By metric: how many numbers an example has (`EvalRun.marks`), and the score of their sums; one number is followed by
a 1, so that its mean is a ratio too."""


def marks_of(run: EvalRun) -> Numbers | None:
    """A run's marks, an example a row; None where it kept none, or others than its metric has."""
    score = primary(run)
    width = _WAYS[score.metric][0] if score is not None and score.metric in _WAYS else 0
    if not width or not run.marks or len(run.marks) != run.asked * width:
        return None
    rows = np.array(run.marks, dtype=np.float64).reshape(run.asked, width)
    if width == 1:
        rows = np.column_stack([rows, np.ones(run.asked)])
    return rows if np.isfinite(rows).all() else None


class Pairs:
    """The tests of runs on one ground (same set, same examples, same metric), by model. One owner."""

    def __init__(self, runs: Mapping[str, EvalRun]) -> None:
        self._rows: dict[str, Numbers] = {}
        self._metric = ""
        for model, run in runs.items():
            rows, score = marks_of(run), primary(run)
            if rows is not None and score is not None:
                self._rows[model], self._metric = rows, score.metric
        self._values: dict[int, dict[str, Numbers]] = {}
        """Of all models that were asked so many examples, the scores of the draws."""

    def test(self, model: str, other: str) -> PairedTest | None:
        """None where one of the two kept no marks."""
        one, two = self._rows.get(model), self._rows.get(other)
        if one is None or two is None or one.shape != two.shape:
            return None
        if self._metric == "accuracy":
            return self._exact(model, other, one[:, 0] > 0, two[:, 0] > 0)
        value, values = _WAYS[self._metric][1], self._draws(len(one))
        differences = values[model] - values[other]
        low, high = np.quantile(differences, (0.025, 0.975))
        return PairedTest(
            model=model, other=other, metric=self._metric, n=len(one),
            difference=float(value(one.sum(axis=0, keepdims=True))[0] - value(two.sum(axis=0, keepdims=True))[0]),
            low=float(low), high=float(high), method=DRAWN, p=chance_drawn(differences),
        )  # fmt: skip

    def _exact(self, model: str, other: str, one: NDArray[np.bool_], two: NDArray[np.bool_]) -> PairedTest:
        only_one, only_two = int((one & ~two).sum()), int((two & ~one).sum())
        return PairedTest(
            model=model, other=other, metric=self._metric, n=len(one), difference=(only_one - only_two) / len(one),
            only_model=only_one, only_other=only_two, method=EXACT, p=chance_exact(only_one, only_two),
        )  # fmt: skip

    def _draws(self, n: int) -> dict[str, Numbers]:
        """The same draws for all of them, made once."""
        if n not in self._values:
            width, value = max(2, _WAYS[self._metric][0]), _WAYS[self._metric][1]
            models = [model for model, rows in self._rows.items() if len(rows) == n]
            sums = drawn(np.hstack([self._rows[model] for model in models]), lambda found: found, SEED)
            self._values[n] = {
                model: value(sums[:, at * width : (at + 1) * width]) for at, model in enumerate(models)
            }  # fmt: skip
        return self._values[n]

    def apart(self, model: str, other: str) -> bool | None:
        """Whether the two differ by more than chance; None where that cannot be tested."""
        found = self.test(model, other)
        return None if found is None else found.p < LEVEL


NO_PAIRS = Pairs({})


def ahead(test: PairedTest) -> bool:
    """Whether the model's score is the better one."""
    return test.difference < 0 if test.metric in BETTER_LOW else test.difference > 0


def chance_exact(only_one: int, only_other: int) -> float:
    """`min(1, 2 * sum(C(n, k) for k in 0..m) / 2^n)`, `n` examples that one alone has right, `m` the fewer ones': the
    two-sided binomial test at one half."""
    n, fewer = only_one + only_other, min(only_one, only_other)
    ways, total = 1, 1
    for k in range(fewer):  # C(n, k + 1) from C(n, k): of thousands of examples each by itself would take seconds
        ways = ways * (n - k) // (k + 1)
        total += ways
    return min(1.0, float(Fraction(2 * total, 2**n)))


def chance_drawn(differences: Numbers) -> float:
    """`min(1, 2 * (min(draws at most 0, draws at least 0) + 1) / (draws + 1))`: never 0, for there are but so many
    draws (A. Davison and D. Hinkley, "Bootstrap Methods and their Application", 1997)."""
    fewer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(differences) + 1))


def adjusted(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """The tests with `p_adjusted`: who is compared with many is beaten by one of them by chance (S. Holm, "A simple
    sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979)."""
    ordered, least, found = sorted(tests, key=lambda one: (one.p, one.other)), 0.0, dict[str, float]()
    for place, one in enumerate(ordered):
        least = max(least, min(1.0, one.p * (len(ordered) - place)))
        found[one.other] = least
    return [one.model_copy(update={"p_adjusted": found[one.other]}) for one in tests]
