"""Trade-offs in words: what is won and what is given up by taking one model of the front instead of another. Pure."""

from collections.abc import Sequence

from hub.compare.choose import Known, overlap
from hub.compare.pairs import NO_PAIRS, Pairs
from schemas.comparison import Tradeoff

MOST = 40
"""Trade-offs that are told: of twenty models on a front there would be 190."""
SAME = 1.02
"""Ratios below it are not worth a word."""


def tradeoffs(known: Sequence[Known], front: Sequence[str], pairs: Pairs = NO_PAIRS) -> tuple[Tradeoff, ...]:
    """Each pair of neighbours of the front, by name; neither is better in everything."""
    there = sorted((one for one in known if one.model in front), key=lambda one: one.model)
    told = [tradeoff(one, other, pairs) for at, one in enumerate(there) for other in there[at + 1 :]]
    return tuple(one for one in told if one.gain or one.loss)[:MOST]


def tradeoff(one: Known, other: Known, pairs: Pairs = NO_PAIRS) -> Tradeoff:
    """Taking `other` instead of `one`."""
    gain, loss = dict[str, float](), dict[str, float]()
    wins, losses = list[str](), list[str]()
    numbers = (
        ("speed", one.p95_ms, other.p95_ms, "times as fast at p95", "times as slow at p95"),
        ("cost", one.nanousd, other.nanousd, "times cheaper", "times as dear"),
    )
    for name, mine, its, better, worse in numbers:
        if mine is None or its is None:
            continue
        if mine == its or (min(mine, its) > 0 and max(mine, its) / min(mine, its) < SAME):
            continue
        if min(mine, its) == 0:
            (gain if its == 0 else loss)[name] = 0.0
            (wins if its == 0 else losses).append("free" if its == 0 else "no longer free")
            continue
        ratio = max(mine, its) / min(mine, its)
        if its < mine:
            gain[name] = ratio
            wins.append(f"{ratio:.1f} {better}")
        else:
            loss[name] = ratio
            losses.append(f"{ratio:.1f} {worse}")
    apart = pairs.apart(one.model, other.model)
    sure = not overlap(one.quality, other.quality) if apart is None else apart
    _quality(one, other, sure, gain, loss, wins, losses)
    return Tradeoff(instead_of=one.model, take=other.model, gain=gain, loss=loss, says=_says(one, other, wins, losses))


def _quality(
    one: Known, other: Known, is_sure: bool, gain: dict[str, float], loss: dict[str, float], wins: list[str],
    losses: list[str],
) -> None:  # fmt: skip
    mine, its = one.good, other.good
    if mine is None or its is None or mine == its:
        return
    sure = "" if is_sure else " (within what these runs can tell)"
    told = f"{abs(its - mine) * 100:.1f} points of {one.quality.metric}{sure}"
    if its > mine:
        gain["quality"] = its - mine
        wins.append(f"{told} better")
    else:
        loss["quality"] = mine - its
        losses.append(f"{told} worse")


def _says(one: Known, other: Known, wins: Sequence[str], losses: Sequence[str]) -> str:
    unknown = [
        name
        for name, mine, its in (
            ("speed", one.p95_ms, other.p95_ms),
            ("cost", one.nanousd, other.nanousd),
            ("quality", one.good, other.good),
        )
        if mine is None or its is None
    ]
    text = f"{other.model} instead of {one.model}: {_listed(wins) or 'nothing better'}"
    if losses:
        text += f", but {_listed(losses)}"
    return text + (f"; {_listed(unknown)} unknown" if unknown else "")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1] if words else ""
