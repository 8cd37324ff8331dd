"""How much memory a model takes while it runs, from what its card says; the same figure wherever it is told. Pure.

`weights * 1.2`. Weights: `sum(numbers of a type * bytes of that type)`, else the size of the weights' files, else 16
bits a parameter. A fifth on top is the most that a forward pass was found to add (Q. Anthony, S. Biderman and H.
Schoelkopf, "Transformer Math 101", EleutherAI, 2023); key-value caches of long contexts are not in it.
"""

from dataclasses import dataclass

from schemas.catalog import CatalogEntry

BYTES: dict[str, float] = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "F8_E4M3": 1,
    "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1, "F4": 0.5, "I4": 0.5, "U4": 0.5, "F6_E2M3": 0.75,
    "F6_E3M2": 0.75,
}  # fmt: skip
"""Bytes of one number, by safetensors' names of types."""
USUAL_BYTES = 2
"""Of a parameter whose type nobody has said: 16 bits, as most weights are served."""
OVERHEAD = 1.2


@dataclass(frozen=True, slots=True)
class Memory:
    """How many bytes a model takes while it runs, and how that was reckoned."""

    bytes: int
    weights: int
    says: str


def memory(entry: CatalogEntry) -> Memory | None:
    """None where neither its number types, nor its files' size, nor its parameters are known."""
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
