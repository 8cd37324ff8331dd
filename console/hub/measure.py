"""What a model's jobs cost, worked out from what is known of them; each figure tells its formula. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.index.answers import CostRow
from schemas.catalog import Serving


@dataclass(frozen=True, slots=True)
class Paid:
    """What the ledger says that a model's jobs have cost, and how far the quotes were from it."""

    jobs: int
    each_nanousd: float
    quoted_off: float | None
    """(quoted - paid) / paid over the jobs together; None: none of them had a quote."""


def paid(rows: Sequence[CostRow], model: str) -> Paid | None:
    """Of the rows by model; None where no job of this one was paid."""
    row = next((one for one in rows if one.name == model), None)
    if row is None or row.jobs == 0:
        return None
    off = (row.quoted_nanousd - row.nanousd) / row.nanousd if row.quoted_nanousd and row.nanousd else None
    return Paid(row.jobs, row.nanousd / row.jobs, off)


def off(predicted: float, actual: float) -> float | None:
    """(predicted - actual) / actual; None where nothing was paid."""
    return (predicted - actual) / actual if actual else None


def blended(offer: Serving) -> int | None:
    """Nano-dollars a million tokens, input and output at three to one, as the search's limit counts them; None where
    one of the prices is unknown."""
    into, out = offer.input_nanousd_per_mtok, offer.output_nanousd_per_mtok
    return None if into is None or out is None else (3 * into + out) // 4
