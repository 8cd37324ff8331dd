"""The grammar of quantities: what "under 1 GB", "7B", "$0.50 per 1M tokens" or "half a second" limits. Pure.

Works on text that `hub.discovery.phrases.plain` made: small letters, no accents. English, and the German, French and
Spanish words for units and for "at most". A quantity that is no limit ("clips of 30 seconds") is not taken, so that
whoever reads the rest can tell that it was not understood.
"""

import re
from collections.abc import Iterator

from hub.recommend.money import money, rates
from hub.recommend.numbers import APPROX, DIGITS, NUMBER, SCALED, TIMES, Limit, Odd, limit, number, side


def limits(text: str) -> list[Limit | Odd]:
    """Every limit of a plain text, in order. Each character belongs to one at most."""
    taken = bytearray(len(text))
    found: list[Limit | Odd] = []
    for read in (money, rates, _context, _ranges, _parameters, _bytes, _latency, _counted):
        for one in read(text):
            if not any(taken[one.start : one.end]):
                found.append(one)
                taken[one.start : one.end] = b"\1" * (one.end - one.start)
    return sorted(found, key=lambda one: (one.start, one.end))


_CONTEXT = (
    re.compile(
        rf"{SCALED}[ -]?(?:tokens?)?[ -]*(?:of |long |sized? |tokens? )?(?:context|ctx|kontext\w*|contexte|"
        rf"contexto|window)(?:[ -]?(?:window|length|size))?"
    ),
    re.compile(
        rf"(?:context|ctx|kontext\w*|contexte|contexto)(?:[ -]?(?:window|length|size|lange))?(?: of| with| "
        rf"for| up to| is| from| de| von|:)*(?: at least| min(?:imum)?| mindestens| over| more than| au "
        rf"moins| al menos| greater than| >=?)?\s*{SCALED}(?:[ -]?tokens?)?(?: or (?:more|longer|larger|"
        rf"above))?"
    ),
)


def _context(text: str) -> Iterator[Limit | Odd]:
    for pattern in _CONTEXT:
        for found in pattern.finditer(text):
            value = number(found["number"], found["scale"])
            if value < 256:  # "one context", "a window"
                continue
            sign, start, end = side(text, found.start(), found.end())
            if sign == "max" and "up to" not in text[start : found.start()]:
                yield Odd("an upper limit of the context", start, end)
            else:
                yield limit("min_context_tokens", round(value), start, end)


_BILLION = r"(?:b|bn|billions?|mrd\.?|milliarden|milliards?|mil millones)"
_MILLION = r"(?:m|mio\.?|mn|millions?|millionen|millones)"
_PARAM = r"(?:[ -]?(?:de )?(?:param(?:eter|etre|etro)?(?:s|n)?|weights)\b)"
_SIZED = (
    rf"(?:(?P<billion>[ -]?{_BILLION}(?![a-z]))(?P<named>{_PARAM})?|(?P<million>[ "
    rf"-]?{_MILLION}(?![a-z]))(?P<named2>{_PARAM}|(?=[ -](?:model|llm|encoder|net|size))|(?P<bare>))|"
    rf"(?P<plainly>{_PARAM}))"
)
_PARAMETERS = re.compile(rf"{NUMBER}{_SIZED}")
_BETWEEN = re.compile(
    rf"(?:(?:between|from|zwischen|entre|von|de|range of|anywhere "
    rf"from)\s+)?(?P<low>{DIGITS})\s?(?P<low_unit>{_BILLION}|{_MILLION})?{_PARAM}?\s?(?:-|–|to|and|und|et|y|"
    rf"a|bis|until)\s?(?P<high>{DIGITS})(?P<high_unit>[ -]?(?:{_BILLION}|"
    rf"{_MILLION})(?![a-z]))(?P<named>{_PARAM})?"
)
_GLUED_BILLION = re.compile(r"\d\s?b(?:n)?$")


def _ranges(text: str) -> Iterator[Limit | Odd]:
    for found in _BETWEEN.finditer(text):
        unit = found["high_unit"].strip(" -.")
        if not (found["named"] or unit in ("b", "bn")) and not re.match(
            r"[ -](?:model|llm|range|param)", text[found.end() :]
        ):
            continue
        high = number(found["high"]) * TIMES.get(unit, 1.0)
        low = number(found["low"]) * TIMES.get((found["low_unit"] or unit).strip(" ."), 1.0)
        if low < high:
            both = (("min_parameters", round(low)), ("max_parameters", round(high)))
            yield Limit(both, found.start(), found.end())


_NOTHING_FOLLOWS = re.compile(r"\s*(?:$|[,;.!?)]|(?:and|or|but|und|oder|et|ou|y|o)\b)")
"""After "500M": what it counts stands nowhere, so that it is parameters."""


def _parameters(text: str) -> Iterator[Limit | Odd]:
    for found in _PARAMETERS.finditer(text):
        named = found["named"] or found["plainly"] or (found["named2"] is not None and found["bare"] is None)
        unit = (found["billion"] or found["million"] or "").strip(" -.")
        model = unit and re.match(r"[ -](?:model|llm)", text[found.end() :])
        sign, start, end = side(text, found.start(), found.end())
        alone = unit == "m" and sign and _NOTHING_FOLLOWS.match(text, found.end())
        if not named and unit not in ("b", "bn") and not model and not alone:
            continue
        if not found["number"][0].isdigit() and not named:
            continue
        value = number(found["number"]) * TIMES.get(unit, 1.0)
        if value < 1_000:
            continue
        yield from _sized(sign, value, start, end)


def _sized(sign: str, value: float, start: int, end: int) -> Iterator[Limit]:
    if sign == "max":
        yield limit("max_parameters", round(value), start, end)
    elif sign == "min":
        yield limit("min_parameters", round(value), start, end)
    else:  # "a 7B model": those that people call so have 6.7 to 8.3 thousand million
        yield Limit((("min_parameters", round(value * 0.75)), ("max_parameters", round(value * 1.25))), start, end)


_BYTES = re.compile(
    rf"{NUMBER}\s?-?(?P<unit>gb|gib|mb|mib|tb|kb|gigabytes?|gigs?|megabytes?|megs?|gigaoctets?|go|mo|g)(?![a-z])"
)
_BYTE_UNITS = {"g": 1e9, "m": 1e6, "t": 1e12, "k": 1e3}
_MEMORY_AFTER = re.compile(
    r"\s*(?:of |de |an |d')?\s?(?:gpu |video |system |main |unified )?(?:v?ram|memory|gpu|card|laptop|"
    r"machine|mac(?:book)?|device|speicher|arbeitsspeicher|memoire|memoria|graphics|phone|instance|box|"
    r"server|pc|computer|rechner|t4|l4|a10|a10g|a100|h100|rtx|nvidia|geforce|raspberry)"
)
_MEMORY_BEFORE = re.compile(
    r"(?:fit\w*|runs?|running|loads?|memory|v?ram|gpu|card|footprint|lauft|laufen|passt|tient|tourne|cabe|"
    r"quepa|corra|laptop|machine|mac(?:book)?)\b[^.;,]{0,40}$"
)


def _bytes(text: str) -> Iterator[Limit | Odd]:
    for found in _BYTES.finditer(text):
        if found["unit"] == "g" and not _MEMORY_AFTER.match(text, found.end()):
            continue
        value = round(number(found["number"]) * _BYTE_UNITS[found["unit"][0]])
        sign, start, end = side(text, found.start(), found.end())
        after = _MEMORY_AFTER.match(text, found.end())
        before = _MEMORY_BEFORE.search(text[max(0, start - 60) : start])
        if sign == "min" and not after:
            yield Odd("a lower limit of the size in bytes", start, end)
        elif after or before:
            yield limit("max_memory_bytes", value, start, max(end, after.end() if after else 0))
        else:
            yield limit("max_bytes", value, start, end)


_TIME_UNITS: dict[str, float] = {"ms": 1, "mill": 1, "mil": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_TIME = re.compile(
    rf"{NUMBER}\s?-?(?P<unit>ms|msec|millis(?:econds?|ekunden?|econdes?)?|milisegundos?|s|secs?|seconds?|"
    rf"sekunden?|secondes?|segundos?|mins?|minutes?|minuten?|minutos?|hours?)(?![a-z])"
)
_SLOW_CUE = re.compile(
    r"latenc\w*|respon[sd]\w*|repl(?:y|ies)|answers?|p ?\d\d|per request|per call|deadline|sla\b|round ?trip|"
    r"turnaround|wait\w*|reaction|latenz\w*|antwort\w*|latencia|latence|reponse|respuesta|first token|ttft|"
    r"faster|slower|quick\w*"
)
_THING_AFTER = re.compile(
    r"[ -]*(?:long |worth |of |lange[nr]? )*(?:clips?|videos?|audio|recordings?|songs?|calls?|podcasts?|"
    r"meetings?|chunks?|segments?|snippets?|samples?|loops?|tracks?|ads?\b|speech|talks?|interviews?|files?|"
    r"episodes?|lectures?|aufnahmen?|jingles?|voice|films?|sound\w*|music|read\b|windows?|frames?|hops?|strides?|steps?|pauses?|gaps?)"
)
_IN_ONLY = re.compile(r"(?:\bin|have|got|spend|hasta|bis(?: zu)?|up to)[\s:-]*" + APPROX + r"$")


def _latency(text: str) -> Iterator[Limit | Odd]:
    for found in re.finditer(r"\bsub[- ]?second\b", text):
        yield limit("max_latency_ms", 1_000, found.start(), found.end())
    for found in _TIME.finditer(text):
        unit = found["unit"]
        key = "ms" if unit.startswith(("ms", "mil")) else unit[0]
        value = number(found["number"]) * _TIME_UNITS[key]
        sign, start, end = side(text, found.start(), found.end())
        cue = _SLOW_CUE.search(text, max(0, start - 40), min(len(text), end + 25))
        if _THING_AFTER.match(text, found.end()) or sign == "min" or not (sign or cue or key == "ms"):
            continue
        if unit[0] in "mh" and key != "ms" and not cue and _IN_ONLY.search(text[: found.start()]):
            continue  # "in two minutes" of what is heard, as like as not
        yield limit("max_latency_ms", max(1, round(value)), start, end)


_COUNTED = re.compile(
    rf"{SCALED}\s?\+?\s?(?P<unit>(?:monthly )?downloads?|likes?|hearts|stars|telechargements|descargas)"
)


def _counted(text: str) -> Iterator[Limit | Odd]:
    for found in _COUNTED.finditer(text):
        sign, start, end = side(text, found.start(), found.end())
        name = "min_likes" if found["unit"].startswith(("like", "heart", "star")) else "min_downloads"
        value = round(number(found["number"], found["scale"]))
        if sign == "max":
            yield Odd("an upper limit of downloads or likes", start, end)
        else:
            yield limit(name, value, start, end)
