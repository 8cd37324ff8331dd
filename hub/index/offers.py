"""What an offer costs and how long it takes, from what its source states; and a guess for who states nothing. Pure."""

import math
from dataclasses import dataclass

from schemas.catalog import CatalogEntry, Serving
from schemas.discovery import Interval

USUAL_INPUT_TOKENS, USUAL_OUTPUT_TOKENS = 600, 200
"""A usual job, three to one: what is predicted is told of one such job."""
INPUT_SHARE = 0.75
LIVE = "live"

# Assumed, not fitted: nothing that we have states sizes and times of many served models. Milliseconds of a usual job.
LATENCY_AT_1B_MS = 1_300.0
LATENCY_EXPONENT = 0.22
LATENCY_SPREAD = 4.0
"""Nine of ten should lie between the value divided by this and multiplied by it; wide, because it is not measured."""
STATED_SPREAD = 2.0
"""The same for a provider's own figures of first token and tokens a second, which another day and region change."""
TINY_MS = 60.0
"""Transport and queue, under which nothing answers."""
WRITING = frozenset({"text-generation", "image-text-to-text", "chat-completion", "summarization", "translation"})
"""Tasks whose time is that of the tokens they write."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One provider's offer in one region (`""`: nobody has said where)."""

    provider: str
    region: str
    live: bool
    nanousd_per_mtok: int | None
    latency_ms: float | None


def blended(input_nanousd: int | None, output_nanousd: int | None) -> int | None:
    """The price of a million tokens, three of input to one of output; None unless both prices are known."""
    if input_nanousd is None or output_nanousd is None:
        return None
    return round(INPUT_SHARE * input_nanousd + (1 - INPUT_SHARE) * output_nanousd)


def stated_latency(offer: Serving) -> float | None:
    """Milliseconds of a usual job as the source's own figures have it; None without both of them."""
    if offer.first_token_ms is None or not offer.tokens_per_s:
        return None
    return offer.first_token_ms + 1_000 * USUAL_OUTPUT_TOKENS / offer.tokens_per_s


def predicted_latency(entry: CatalogEntry) -> Interval | None:
    """A guess from its size, for a model that writes tokens on usual hardware; None where there is no ground.

    `LATENCY_AT_1B_MS * billions ** LATENCY_EXPONENT`: a decoder reads all its weights for each token, and whoever
    serves a larger one uses faster and more machines, so that the exponent is far below one.
    """
    if not entry.parameters or not WRITING.intersection({entry.task, entry.pipeline_tag}):
        return None
    value = max(TINY_MS, LATENCY_AT_1B_MS * (entry.parameters / 1e9) ** LATENCY_EXPONENT)
    return _spread(value, LATENCY_SPREAD, "predicted")


def latency_of(entry: CatalogEntry) -> Interval | None:
    """The best of what its live offers state, else the guess for its size."""
    stated = [ms for offer in entry.served if offer.status == LIVE and (ms := stated_latency(offer)) is not None]
    return _spread(min(stated), STATED_SPREAD, "stated") if stated else predicted_latency(entry)


def cost_of(entry: CatalogEntry) -> Interval | None:
    """What a usual job costs: between the cheapest and the dearest live offer that states its prices."""
    prices = [price for offer in entry.served if offer.status == LIVE and (price := priced(offer)) is not None]
    if not prices:
        return None
    jobs = [price * (USUAL_INPUT_TOKENS + USUAL_OUTPUT_TOKENS) / 1e6 for price in prices]
    return Interval(value=min(jobs), low=min(jobs), high=max(jobs), unit="nanousd", source="stated", n=len(jobs))


def priced(offer: Serving) -> int | None:
    """The blended price of an offer; of a free one 0."""
    if offer.free:
        return 0
    return blended(offer.input_nanousd_per_mtok, offer.output_nanousd_per_mtok)


def offered(entry: CatalogEntry) -> list[Offered]:
    """An entry's offers, one for each region."""
    guess = predicted_latency(entry)
    found: list[Offered] = []
    for offer in entry.served:
        stated = stated_latency(offer)
        latency = stated if stated is not None else guess.value if guess else None
        for region in dict.fromkeys(offer.regions) or ("",):
            found.append(Offered(offer.provider, region, offer.status == LIVE, priced(offer), latency))
    return found


def _spread(value: float, factor: float, source: str) -> Interval:
    return Interval.model_validate(
        {"value": value, "low": value / factor, "high": value * factor, "unit": "ms", "source": source}
    )


def nan_if_none(value: float | None) -> float:
    """For a column of fractions."""
    return math.nan if value is None else value
