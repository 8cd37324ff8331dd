"""Business constraints: who is out, and every reason for it. Pure. A value that nobody knows does not pass."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from hub.compare.memory import memory
from hub.licenses import family_of
from hub.recommend.candidates import Candidate, Offer, bears
from hub.recommend.names import OPEN_SOURCE, QUANTIZED
from schemas.catalog import CatalogEntry
from schemas.recommendation import Condition, Constraints, TaskAnalysis

BYTES_A_PARAMETER = 2
"""Of weights whose size nobody has told: most are published in 16 bits."""
_UNKNOWN = "nobody has said"


def merged(first: Constraints, second: Constraints) -> Constraints:
    """Both together, but for lists of which any word will do: the second's are held apart then."""
    values = first.model_dump()
    for name, value in second.model_dump().items():
        if isinstance(value, bool) and name not in ("served", "gated", "custom_code"):
            values[name] = values[name] or value
        elif isinstance(value, tuple | list):
            if name.startswith("denied_") or name == "tags":
                values[name] = (*values[name], *value)
            elif not values[name]:
                values[name] = value
        elif name == "latency_quantile":
            values[name] = "p95" if "p95" in (value, values[name]) else "p50"
        elif value is not None:
            mine = values[name]
            stricter = max if name.startswith(("min_", "requests")) else min
            values[name] = value if mine is None or isinstance(value, bool) else stricter(mine, value)
    return Constraints.model_validate(values)


def request_ceiling(asked: Constraints) -> tuple[float | None, str]:
    """The highest price of one request, in nano-dollars, and how it comes about."""
    own, month, many = asked.max_nanousd_per_request, asked.max_nanousd_per_month, asked.requests_per_month
    spread = month / many if month is not None and many else None
    if own is None and spread is None:
        return None, ""
    if spread is not None and (own is None or spread < own):
        return spread, f"{dollars(month or 0)} a month over {many:,} requests is {dollars(spread)} a request"
    return own, f"{dollars(own or 0)} a request"


def reasons(one: Candidate, analysis: TaskAnalysis, asked: Iterable[Constraints], *, at: datetime) -> list[Condition]:
    """Why a candidate is out; none: it keeps everything."""
    told = [*_always(one, analysis)]
    for constraints in asked:
        told += _own(one, constraints, at)
        told += _offered(one, constraints)
    return list(dict.fromkeys(told))


_SAID = {"max_bytes": "size", "max_memory_bytes": "memory", "max_latency_ms": "latency", "max_parameters": "parameters",
         "min_parameters": "parameters", "max_nanousd_per_mtok": "price of 1M tokens",
         "max_nanousd_per_request": "price of a request", "max_nanousd_per_month": "budget of a month",
         "recent_days": "age"}  # fmt: skip


def said(name: str) -> str:
    """A condition's name as people say it."""
    told = _SAID.get(name, name.replace("_", " ").replace("license", "licence"))
    return f"{told.removeprefix('denied ')} ruled out" if told.startswith("denied ") else told


def _why(name: str, says: str) -> Condition:
    return Condition(name=name, value=says)


def _always(one: Candidate, analysis: TaskAnalysis) -> Iterator[Condition]:
    entry = one.entry
    if entry.disabled or entry.private:
        yield _why("available", "the Hub has disabled it" if entry.disabled else "it is private")
    if one.allowed is False:
        yield _why("allowed", one.why_not or "the registry refuses it")
    if entry.security is not None and entry.security.level == "unsafe":
        yield _why("security", "a scanner calls it unsafe")
    languages = spoken(entry)
    wanted = [code for code in analysis.languages if code != "mul"]
    missing = [code for code in wanted if languages and not speaks(languages, code)]
    if missing:
        yield _why("language", f"it is for {_few(sorted(languages))}, not for {', '.join(missing)}")
    if "mul" in analysis.languages and languages and len(languages) < 3 and "mul" not in languages:
        yield _why("language", f"it is for {_few(sorted(languages))}, not for many")


def spoken(entry: CatalogEntry) -> frozenset[str]:
    """Its languages; `mul` for one that is called multilingual. Empty: nobody has said."""
    codes = {code.lower() for code in entry.languages}
    if codes & {"multilingual", "mul"} or "multilingual" in entry.tags:
        codes = (codes - {"multilingual"}) | {"mul"}
    return frozenset(codes)


def speaks(languages: frozenset[str], code: str) -> bool:
    """Whether a language is among them: `de-CH` is German, and whoever is multilingual may know any."""
    return "mul" in languages or any(one == code or one.startswith(code + "-") for one in languages)


def _own(one: Candidate, asked: Constraints, at: datetime) -> Iterator[Condition]:
    entry = one.entry
    yield from _licensed(entry, asked)
    yield from _sized(entry, asked)
    for name, value, floor in (
        ("min_context_tokens", entry.context_tokens, asked.min_context_tokens),
        ("min_downloads", entry.downloads, asked.min_downloads),
        ("min_likes", entry.likes, asked.min_likes),
    ):
        if floor is not None and (value is None or value < _tolerant(name, floor)):
            what = name.removeprefix("min_").replace("_", " ")
            yield _why(name, f"{what}: {_UNKNOWN}" if value is None else f"{value:,} {what}; at least {floor:,} asked")
    if asked.recent_days is not None:
        born = entry.created_at
        if born is None:
            yield _why("recent_days", f"when it was made {_UNKNOWN}")
        elif born < at - timedelta(days=asked.recent_days):
            yield _why("recent_days", f"made on {born.date()}; within {asked.recent_days} days asked")
    yield from _listed(entry, asked)
    if asked.gated is not None and (entry.gated is None or (entry.gated == "no") is asked.gated):
        yield _why("gated", f"whether it is gated {_UNKNOWN}" if entry.gated is None else f"gated: {entry.gated}")
    if asked.approved and one.allowed is not True:
        yield _why("approved", one.why_not or "the registry has no admission for it")
    security = entry.security
    if asked.safe and (security is None or security.level != "safe"):
        level = "unscanned" if security is None else security.level
        yield _why("safe", f"scans: {level}")
    if asked.custom_code is False and (security is None or security.custom_code is not False):
        needs = security is not None and security.custom_code
        yield _why("custom_code", "it runs its author's code" if needs else f"whether it runs own code {_UNKNOWN}")
    for name, wanted in (("tools", asked.tools), ("structured_output", asked.structured_output)):
        if wanted and not any(getattr(offer, name) for offer in entry.served):
            yield _why(name, f"no offer is known to have {name.replace('_', ' ')}")


def _tolerant(name: str, floor: int) -> float:
    """ "128k context" is said of 131,072 and of 128,000 tokens, and 32k of 32,768: a shortfall of 3 % passes."""
    return floor * 0.97 if name == "min_context_tokens" else floor


def _licensed(entry: CatalogEntry, asked: Constraints) -> Iterator[Condition]:
    license_, raw = entry.license, entry.license_raw
    said = license_ or raw or ""
    if asked.licenses and not any(is_license(license_, raw, one) for one in asked.licenses):
        wanted = " or ".join(asked.licenses)
        yield _why("licenses", f"licence {said}; {wanted} asked" if said else f"its licence {_UNKNOWN}; {wanted} asked")
    for one in asked.denied_licenses:
        if not said:
            yield _why("denied_licenses", f"its licence {_UNKNOWN}, so that it may be {one}")
        elif is_license(license_, raw, one):
            yield _why("denied_licenses", f"licence {said} is {one}")
    family = family_of(license_ or raw)
    if asked.commercial and family not in OPEN_SOURCE:
        what = f"licence {said} ({family or 'unknown sort'})" if said else f"its licence {_UNKNOWN}"
        yield _why("commercial", f"{what}: commercial use is not certain")
    if asked.permissive and family not in ("permissive", "public-domain"):
        what = f"licence {said} ({family or 'unknown sort'})" if said else f"its licence {_UNKNOWN}"
        yield _why("permissive", f"{what} is not known to be permissive")


def is_license(license_: str | None, raw: str | None, wanted: str) -> bool:
    family = family_of(license_ or raw)
    if wanted == "open-source":
        return family in OPEN_SOURCE
    if wanted == family:
        return True
    have, want = (license_ or "").lower(), wanted.lower()
    return have == want or (have.startswith(want + "-") and have[len(want) + 1 : len(want) + 2].isdigit())


def _sized(entry: CatalogEntry, asked: Constraints) -> Iterator[Condition]:
    have = entry.parameters
    for name, limit, out in (
        ("max_parameters", asked.max_parameters, have is not None and have > (asked.max_parameters or 0)),
        ("min_parameters", asked.min_parameters, have is not None and have < (asked.min_parameters or 0)),
    ):
        if limit is not None and (have is None or out):
            side = "at most" if name == "max_parameters" else "at least"
            says = f"its size {_UNKNOWN}" if have is None else f"{have:,} parameters; {side} {limit:,} asked"
            yield _why(name, says)
    size = weights(entry)
    if asked.max_bytes is not None and (size is None or size > asked.max_bytes):
        says = (
            f"the size of its weights {_UNKNOWN}"
            if size is None
            else f"{_bytes(size)}; at most {_bytes(asked.max_bytes)}"
        )
        yield _why("max_bytes", says)
    if asked.max_memory_bytes is not None:
        takes = memory(entry)
        need = None if takes is None else takes.bytes
        if need is None:
            yield _why("max_memory_bytes", f"the memory that it needs is not known: its size {_UNKNOWN}")
        elif need > asked.max_memory_bytes:
            yield _why(
                "max_memory_bytes", f"needs about {_bytes(need)} of memory; {_bytes(asked.max_memory_bytes)} there"
            )


def weights(entry: CatalogEntry) -> int | None:
    """The size of its weights: as told, else two bytes a parameter."""
    if entry.size_bytes is not None:
        return entry.size_bytes
    return None if entry.parameters is None else entry.parameters * BYTES_A_PARAMETER


def _listed(entry: CatalogEntry, asked: Constraints) -> Iterator[Condition]:
    author = (entry.author or entry.id.partition("/")[0]).lower()
    if asked.authors and author not in {one.lower() for one in asked.authors}:
        yield _why("authors", f"by {author}; {' or '.join(asked.authors)} asked")
    if author in {one.lower() for one in asked.denied_authors}:
        yield _why("denied_authors", f"by {author}")
    for one in asked.denied_names:
        bearer = next((name for name in (entry.id, *entry.base_models) if bears(name, one)), None)
        if bearer is not None or one in entry.tags:
            yield _why("denied_names", f"{'tagged' if bearer is None else 'named'} {one}")
    have = {tag.lower() for tag in entry.tags} | {(entry.library or "").lower()}
    if have & QUANTIZED:
        have.add("quantized")
    if asked.libraries and not any(one.lower() in have for one in asked.libraries):
        yield _why("libraries", f"not told to be for {' or '.join(asked.libraries)}")
    for name, listed, out in (
        ("denied_libraries", asked.denied_libraries, True),
        ("denied_tags", asked.denied_tags, True),
        ("tags", asked.tags, False),
    ):
        for one in listed:
            if (one.lower() in have) is out:
                yield _why(name, f"{'is' if out else 'is not'} tagged {one}")
    languages = spoken(entry)
    if asked.denied_languages and languages and languages <= set(asked.denied_languages):
        yield _why("denied_languages", f"it is for {_few(sorted(languages))} only")
    if entry.task is not None and entry.task in asked.denied_tasks:
        yield _why("denied_tasks", f"it is for {entry.task}")


def _offered(one: Candidate, asked: Constraints) -> Iterator[Condition]:
    """Provider, region, price and latency are asked of one and the same offer."""
    tests = list(_tests(asked))
    if not tests:
        return
    if asked.max_latency_ms is not None and len(tests) == 1 and not one.offers:
        # Served by nobody, and nothing but its speed is asked: what was observed or predicted of it decides.
        value = (
            None if one.latency is None else one.latency.high if asked.latency_quantile == "p95" else one.latency.value
        )
        if value is None or value > asked.max_latency_ms:
            yield _why("max_latency_ms", _slow(value, asked.max_latency_ms))
        return
    offers = [offer for offer in one.offers if offer.live]
    if any(all(passes(offer) for _, passes, _ in tests) for offer in offers):
        return
    alone = False
    for name, passes, says in tests:
        if not any(passes(offer) for offer in offers):
            alone = True
            yield _why(name, says(offers))
    if not alone:
        yield _why("one_offer", f"no one offer has all of {', '.join(name for name, _, _ in tests)}")


Test = tuple[str, Callable[[Offer], bool], Callable[[list[Offer]], str]]


def _tests(asked: Constraints) -> Iterator[Test]:
    nobody = "nobody is known to serve it"
    providers, denied = {one.lower() for one in asked.providers}, {one.lower() for one in asked.denied_providers}
    if asked.served:
        yield "served", lambda offer: offer.live, lambda offers: nobody
    if providers:
        yield (
            "providers",
            lambda offer: offer.provider in providers,
            lambda offers: f"served by {_few(sorted({offer.provider for offer in offers}))}" if offers else nobody,
        )
    if denied:
        yield (
            "denied_providers",
            lambda offer: offer.provider not in denied,
            lambda offers: f"served by {_few(sorted({offer.provider for offer in offers}))} only" if offers else nobody,
        )
    if asked.regions:
        yield (
            "regions",
            lambda offer: any(within(offer.region, code) for code in asked.regions),
            lambda offers: _where(offers) if offers else nobody,
        )
    if asked.denied_regions:
        yield (
            "denied_regions",
            lambda offer: offer.region != "" and not any(within(offer.region, code) for code in asked.denied_regions),
            lambda offers: _where(offers) if offers else nobody,
        )
    if asked.max_nanousd_per_mtok is not None:
        most = asked.max_nanousd_per_mtok
        yield (
            "max_nanousd_per_mtok",
            lambda offer: offer.nanousd_per_mtok is not None and offer.nanousd_per_mtok <= most,
            lambda offers: _dear([offer.nanousd_per_mtok for offer in offers], f"{dollars(most)} a million tokens"),
        )
    ceiling, how = request_ceiling(asked)
    if ceiling is not None:
        yield (
            "max_nanousd_per_request" if asked.max_nanousd_per_request is not None else "max_nanousd_per_month",
            lambda offer: offer.request_nanousd is not None and offer.request_nanousd <= ceiling,
            lambda offers: _dear([offer.request_nanousd for offer in offers], how),
        )
    if asked.max_latency_ms is not None:
        slowest, p95 = asked.max_latency_ms, asked.latency_quantile == "p95"
        yield (
            "max_latency_ms",
            lambda offer: (ms := offer.latency_p95_ms if p95 else offer.latency_ms) is not None and ms <= slowest,
            lambda offers: _slow(
                min(
                    (ms for offer in offers if (ms := offer.latency_p95_ms if p95 else offer.latency_ms) is not None),
                    default=None,
                ),
                slowest,
            ),
        )


_EU = frozenset(
    [
        "at",
        "be",
        "bg",
        "cy",
        "cz",
        "de",
        "dk",
        "ee",
        "es",
        "fi",
        "fr",
        "gr",
        "hr",
        "hu",
        "ie",
        "it",
        "lt",
        "lu",
        "lv",
        "mt",
        "nl",
        "pl",
        "pt",
        "ro",
        "se",
        "si",
        "sk",
    ]
)


def within(region: str, code: str) -> bool:
    """Whether a region lies within another: `eu-west-1` and `de` within `eu`, `de-fra` within `de`. An unknown one
    lies nowhere."""
    told = region.lower()
    head = told.partition("-")[0]
    return code in {told, head} or (code == "eu" and head in _EU)


def _where(offers: list[Offer]) -> str:
    said = sorted({offer.region for offer in offers if offer.region})
    return f"works in {_few(said)}" if said else f"where it works {_UNKNOWN}"


def _dear(prices: Iterable[float | None], wanted: str) -> str:
    told = [price for price in prices if price is not None]
    return f"{dollars(min(told))} at the least; at most {wanted}" if told else f"its price {_UNKNOWN}; at most {wanted}"


def _slow(value: float | None, limit: int) -> str:
    return (
        f"how long it takes is not known; at most {limit:,} ms"
        if value is None
        else f"about {value:,.0f} ms; at most {limit:,} ms"
    )


def dollars(nanousd: float) -> str:
    """Nano-dollars as dollars, to the last of them."""
    return f"${nanousd / 1e9:.9f}".rstrip("0").rstrip(".") if nanousd else "$0"


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _few(words: list[str]) -> str:
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "") if words else "nobody"
