"""What a model needs and costs, worked out from what is known of it; each figure tells its formula. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.index.answers import CostRow
from schemas.catalog import CatalogEntry, Serving

BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "F8_E4M3": 1,
    "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1, "F4": 0.5, "I4": 0.5, "U4": 0.5, "F6_E2M3": 0.75,
    "F6_E3M2": 0.75,
}  # fmt: skip
"""Bytes of one number, by safetensors' names of types."""
USUAL_BYTES = 2
"""Of a parameter whose type nobody has said: 16 bits, as most weights are served."""
OVERHEAD = 1.2
"""Buffers, kernels and activations of short inputs, as a share of the weights ("Transformer Inference: Estimating GPU
Memory", EleutherAI's cookbook, 2023, has 20%). Key-value caches of long contexts come on top."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How many bytes a model takes while it runs, and how that was reckoned."""

    bytes: int
    weights: int
    says: str


def memory(entry: CatalogEntry) -> Memory | None:
    """The weights by their number types, else as large as their files, else 16 bits a parameter; plus 20%. None where
    none of it is known."""
    typed = {name: count for name, count in entry.dtypes.items() if name.upper() in BYTES}
    if typed and len(typed) == len(entry.dtypes):
        weights = round(sum(count * BYTES[name.upper()] for name, count in typed.items()))
        says = " + ".join(f"{count:,} {name} x {BYTES[name.upper()]:g} B" for name, count in typed.items())
    elif entry.size_bytes is not None:
        weights, says = entry.size_bytes, f"its weights' files: {entry.size_bytes:,} B"
    elif entry.parameters is not None:
        weights = entry.parameters * USUAL_BYTES
        says = f"{entry.parameters:,} parameters x {USUAL_BYTES} B (type not stated: 16 bits assumed)"
    else:
        return None
    return Memory(round(weights * OVERHEAD), weights, f"({says}) x {OVERHEAD:g}; caches of long contexts come on top")


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
