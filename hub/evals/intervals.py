"""How sure one may be of a score: 95 % intervals. Pure; the same for the same seed."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""Of the normal distribution, two-sided 95 %."""
ROUNDS = 1_000
Numbers = NDArray[np.float64]


def wilson(right: int, n: int) -> tuple[float, float]:
    """Bounds of a share: `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927. Of no trial
    nothing is known: 0 to 1.
    """
    if n == 0:
        return 0.0, 1.0
    share, square = right / n, Z_95 * Z_95
    middle = share + square / (2 * n)
    spread = Z_95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    whole = 1 + square / n
    # At the ends the sum is exactly 0 or 1, but for the last bit of a float.
    return (middle - spread) / whole if right else 0.0, (middle + spread) / whole if right < n else 1.0


def bootstrap(
    rows: Numbers, value: Callable[[Numbers], Numbers], seed: int, counts: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Percentile bootstrap (B. Efron, "Bootstrap Methods", Ann. Statist. 7, 1979) over examples.

    `rows`: one example a row, of numbers that are summed, such as its hits and misses; `counts`: how many examples are
    alike in each row, 1 unless told. `value` takes sums, one draw a row, and gives one value each. 1,000 draws of as
    many examples as there are, with replacement: how often each row is drawn is multinomial.
    """
    found = drawn(rows, value, seed, counts)
    if not len(found):
        return 0.0, 1.0
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def drawn(
    rows: Numbers, value: Callable[[Numbers], Numbers], seed: int, counts: NDArray[np.int64] | None = None
) -> Numbers:
    """The values of the draws of `bootstrap`, one a draw; none of no example."""
    alike = np.ones(rows.shape[0], dtype=np.int64) if counts is None else counts
    n = int(alike.sum())
    if n == 0:
        return np.empty(0)
    dice = np.random.default_rng(seed)
    found: list[Numbers] = []
    # A bounded number of draws at a time: a thousand times ten thousand counts would be 80 MB.
    step = max(1, min(ROUNDS, 2_000_000 // len(alike)))
    for start in range(0, ROUNDS, step):
        draws = dice.multinomial(n, alike / n, size=min(step, ROUNDS - start))
        found.append(value(draws.astype(np.float64) @ rows))
    return np.concatenate(found)


def bounded(value: float, low: float, high: float, n: int) -> tuple[float, float, str]:
    """The bootstrap's bounds and the name of the method. Where every draw came to the same end of the scale, because no
    example went wrong (or right), drawing again tells nothing of how many would: there Wilson's bounds for so many
    examples stand in."""
    if low == high == value and value in (0.0, 1.0):
        return *wilson(n if value else 0, n), "wilson"
    return low, high, METHOD


def means(rows: Numbers, seed: int) -> tuple[float, float]:
    """Bounds of the mean of one number an example."""
    both = np.column_stack([rows, np.ones_like(rows)])
    return bootstrap(both, lambda sums: sums[:, 0] / sums[:, 1], seed)


METHOD = f"bootstrap-{ROUNDS}"
