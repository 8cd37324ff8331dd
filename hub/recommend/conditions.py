"""Conditions of a sentence: limits, dates, licences, places, providers, makers, machines, wishes. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hub.recommend import names, refusing
from hub.recommend.numbers import LARGEST, Limit
from hub.recommend.quantities import limits
from hub.recommend.reading import Reading
from hub.recommend.since import since
from schemas.base import MAX_NANOUSD

_PRICES = ("max_nanousd_per_request", "max_nanousd_per_mtok")
MOST_DAYS = 36_500
"""Of an age."""
BLANK = re.escape(" ")


def read(reading: Reading, at: datetime) -> None:
    """Read every condition; what has been read as one thing is not read as another."""
    _quantities(reading)
    _dates(reading, at)
    for part in (_licenses, _flags, _regions, _providers, _authors, _formats, _devices, _own_machine, _preferences,
                 _open_source):  # fmt: skip
        part(reading)


def _quantities(reading: Reading) -> None:
    for one in limits(reading.flat):
        if not isinstance(one, Limit):
            reading.odd.append(f"{reading.words(one.start, one.end)} ({one.why})")
            reading.mark(one.start, one.end)
            continue
        largest = min(MAX_NANOUSD if name in _PRICES else LARGEST for name, _ in one.values)
        if any(value > largest for _, value in one.values):
            reading.odd.append(f"{reading.words(one.start, one.end)} (larger than {largest:,})")
            reading.mark(one.start, one.end)
            continue
        for name, value in one.values:
            known = reading.values.get(name)
            stricter = max if name.startswith("min") else min
            reading.values[name] = value if known is None else stricter(known, value)
            reading.understand(name, value, one.start, one.end)
        reading.mark(one.start, one.end, blocked=one.values[0][0] != "requests_per_month")
    if "max_latency_ms" in reading.values:
        found = re.search(r"\bp ?(?:95|99|90)\b|(?:\b9[0-9]th )?percentile", reading.flat)
        if found:
            reading.values["latency_quantile"] = "p95"
            reading.mark(found.start(), found.end())


def _dates(reading: Reading, at: datetime) -> None:
    for days, start, end in since(reading.flat, at):
        if reading.free(start, end) and 1 <= days <= MOST_DAYS:
            reading.values["recent_days"] = min(days, reading.values.get("recent_days", days))
            reading.understand("recent_days", days, start, end)
            reading.mark(start, end)


def polar(reading: Reading, found: Iterable[tuple[int, int, Any]]) -> Iterator[tuple[int, int, Any, bool]]:
    """Things named in a text, with whether they are wanted: negation reaches over "or", "and" and commas."""
    last_end, last_wanted = -1, True
    told: list[tuple[int, int, Any, bool]] = []
    run = 0
    for start, end, value in sorted(found, key=lambda one: (one[0], -one[1])):
        if start < last_end:
            continue
        if (needless := reading.needless(end)) is not None:
            reading.understand("not needed", reading.words(start, end), start, needless.end())
            reading.mark(start, needless.end())
            continue
        before, behind = reading.negated(start), reading.refused(end)
        joined = last_end >= 0 and refusing.JOINED.match(reading.flat[last_end:start]) is not None
        wanted = last_wanted if joined and before is None else before is None
        if before is not None:
            length = min(60, start)
            reading.mark(start - length + before.start(), start, blocked=False)
        run = run if joined else len(told)
        told.append((start, end, value, wanted))
        if behind is not None:  # "GPL and AGPL are not allowed"
            reading.mark(end, behind.end(), blocked=False)
            told[run:] = [(*one[:3], False) for one in told[run:]]
        last_end, last_wanted = end, wanted
    yield from told


def _licenses(reading: Reading) -> None:
    found = [
        (match.start(), match.end(), ids) for pattern, ids in names.LICENSES for match in pattern.finditer(reading.flat)
    ]
    for place, start in enumerate(reading.places[:-1]):  # "mit" is a German word, MIT is none
        if reading.sentence[start : start + 3] == "MIT" and not reading.sentence[start + 3 : start + 4].isalnum():
            before = reading.sentence[start - 1 : start]
            if not before.isalnum() and "mit" in reading.flat[place : place + 3] and not reading.sentence.isupper():
                found.append((place, place + 3, ("MIT",)))
    for start, end, ids, wanted in polar(reading, found):
        reading.add("licenses" if wanted else "denied_licenses", ids, start, end)
        reading.mark(start, end)
    for word in re.finditer(r"(?:under |with |and |an? |the )*licen[cs](?:e[ds]?|ing|ia|ias)|lizenz\w*", reading.flat):
        if reading.values.get("licenses") or reading.values.get("denied_licenses"):
            reading.mark(word.start(), word.end())


_OPEN_SOURCE = re.compile(
    r"(?<![a-z])(?:open[ -]?sourced?|quelloffen\w*)(?![a-z])(?! (?:code|projects?|software|repo\w*|librar\w*|"
    r"communit\w*|contribut\w*|maintain\w*|licen[cs]\w*))"
)


def _open_source(reading: Reading) -> None:
    """ "Open source" names no licence: some mean open weights, some the OSI's list. It is told, not guessed."""
    for found in _OPEN_SOURCE.finditer(reading.flat):
        if reading.free(*found.span()):
            why = "no licence is named: say permissive, or open source licence"
            reading.odd.append(f"{reading.words(*found.span())} ({why})")
            reading.mark(*found.span())


_NO_NON = re.compile(r"(?:no|not|without|exclud\w+|avoid\w*)\W+(?:any )?non\W+[a-z ]+$")


def _flags(reading: Reading) -> None:
    for pattern, name, value in names.FLAGS:
        for found in pattern.finditer(reading.flat):
            if not reading.free(found.start(), found.end()):
                continue
            before = None if value is False else reading.negated(found.start())
            behind = None if value is False else reading.refused(found.end()) or reading.needless(found.end())
            beginning = found.start() - len(before[0]) if before else found.start()
            reading.mark(beginning, behind.end() if behind else found.end())
            if name == "commercial" and before and _NO_NON.search(reading.flat[: found.end()]):
                before = None  # "no non-commercial licence"
            if before is None and behind is None:
                reading.values[name] = value
                reading.understand(name, value, found.start(), found.end())
            else:
                reading.understand(name, "not asked for", beginning, found.end())


def _regions(reading: Reading) -> None:
    found = []
    for code, pattern in names.REGIONS.items():
        for match in re.finditer(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", reading.flat):
            around = reading.flat[max(0, match.start() - 45) : match.end() + 30]
            if match[0] == "us" and not re.search(r"\bUS\b", reading.words(match.start(), match.end())):
                continue
            sure = names.ALWAYS_A_REGION.fullmatch(match[0]) is not None
            if reading.free(match.start(), match.end()) and (sure or names.REGION_CUE.search(around)):
                found.append((match.start(), match.end(), code))
    for start, end, code, told in polar(reading, found):
        before = reading.flat[max(0, start - 40) : start]
        leaves = re.search(
            r"(?:leave|leaving|exit|outside|verlassen|quitter|salir)\W+(?:of\W+)?(?:the\W+|la\W+|de\W+)?$", before
        )
        outside = leaves is not None and leaves[0].startswith("outside")
        stays = leaves is not None and (
            not outside
            or None
            is not re.search(
                r"(?:\bnot?|never|n't|nothing|nie|kein\w*)\b[^.;]*outside\W+(?:of\W+)?(?:the\W+)?$", before
            )
        )
        wanted = told if leaves is None else stays
        reading.add("regions" if wanted else "denied_regions", (code,), start, end)
        cue = re.search(
            r"(?:(?:all |our |my |the |any |must |may |can ?not |never |not |has to |have to |needs? to |"
            r"should |strictly |only |be |is |are )*"
            r"(?:data|servers?|processing|inference|hosting|hosted|stays?|kept|residency|region|located|run|"
            r"runs|processed|stored?|leave|served|remains?|"
            r"daten|gehostet|bleiben|donnees|hebergee?s?|datos|alojad\w*|outside|inside|within|keep|"
            r"everything)[\s:-]*)+"
            r"(?:(?:be |in|inside|within|on|the|of|from|to|stay|the|a|an|en|la|l'|der|im|hosted|kept|only|"
            r"processed)\W+)*$",
            reading.flat[:start],
        )
        after = re.match(
            (
                r"(?:[ -](?:only|servers?|region\w*|hosted|hosting|based|residency|data ?cent\w+|soil|compliant|"
                r"conform\w*|compliance|data residency|endpoint\w*|cloud))*"
            ),
            reading.flat[end:],
        )
        reading.mark(cue.start() if cue else start, end + (after.end() if after else 0))


_MAKER = re.compile(
    r"\b(?:from|by|made|models?)\W*$|non\W$|\b(?:modell\w*|modeles?|modelos?|modelli?)\W+(?:von|de|d|da|di|par|por)\W*$"
)
"""Before a name that is a provider's and a maker's: the maker is meant."""


def _providers(reading: Reading) -> None:
    found = []
    for name, provider in names.PROVIDER_NAMES.items():
        for match in re.finditer(rf"(?<![a-z0-9]){re.escape(name).replace(BLANK, '[ -]')}(?![a-z0-9])", reading.flat):
            before = reading.flat[max(0, match.start() - 30) : match.start()]
            cue = names.PROVIDER_CUE.search(before)
            maker = provider in ("openai", "cohere") and _MAKER.search(before)
            if not reading.free(match.start(), match.end()) or maker:
                continue
            strong = cue is not None and re.match(
                r"on|via|through|using|provider|hosted|served|run|uber|chez|over|use", cue[0]
            )
            if name in names.PLAIN_WORDS and not (strong and not re.search(r"\b(?:run|put|work|use)\W*$", before)):
                continue
            if cue is not None or provider not in ("openai", "cohere"):
                found.append((match.start(), match.end(), provider))
    for start, end, provider, wanted in polar(reading, found):
        reading.add("providers" if wanted else "denied_providers", (provider,), start, end)
        reading.mark(start, end)


_AFTER_AN_AUTHOR = re.compile(rf"(?:{'|'.join(map(re.escape, names.AUTHORS))})\s*(?:,|/|&|or|and)\s*$")
_BEFORE_AN_AUTHOR = re.compile(
    rf"\s*(?:,\s*)?(?:/|&|or|and|oder|und|ou|et|o|y)\s*(?:{'|'.join(map(re.escape, names.AUTHORS))})(?![a-z0-9])"
)


def _authors(reading: Reading) -> None:
    """Makers, and families of models that are ruled out by name; told together, for "not" reaches over both."""
    found: list[tuple[int, int, tuple[str, ...] | str]] = []
    for name, ids in names.AUTHORS.items():
        for match in re.finditer(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", reading.flat):
            before, after = reading.flat[max(0, match.start() - 40) : match.start()], reading.flat[match.end() :]
            cue = (
                names.AUTHOR_BEFORE.search(before)
                or _AFTER_AN_AUTHOR.search(before)
                or _BEFORE_AN_AUTHOR.match(after)
                or names.AUTHOR_AFTER.match(after)
                or reading.refused(match.end())
            )
            if (
                reading.free(match.start(), match.end())
                and cue
                and not re.match(r" (?:maps|drive|sheets|play|docs)", after)
            ):
                found.append((match.start(), match.end(), ids))
    for match in names.FAMILIES.finditer(reading.flat):
        if reading.free(*match.span()):
            found.append((match.start(), match.end(), re.sub("[ -]", "-", match[1])))
    for start, end, told, wanted in polar(reading, found):
        if not isinstance(told, str):
            reading.add("authors" if wanted else "denied_authors", told, start, end)
        elif not wanted:
            reading.add("denied_names", (told,), start, end)
        else:
            continue  # a family that is wanted is a word to search by
        reading.mark(start, end)


def _formats(reading: Reading) -> None:
    for pattern, name, value in names.FORMATS:
        found = [
            (match.start(), match.end(), value)
            for match in pattern.finditer(reading.flat)
            if reading.free(*match.span())
        ]
        for start, end, tag, wanted in polar(reading, found):
            if name:
                reading.add("tags" if wanted else "denied_tags", (tag,), start, end)
            reading.mark(start, end)


def _devices(reading: Reading) -> None:
    for pattern, memory in names.DEVICES:
        for found in pattern.finditer(reading.flat):
            before = reading.flat[max(0, found.start() - 30) : found.start()]
            if not reading.free(found.start(), found.end()) or not names.DEVICE_CUE.search(before):
                continue
            if "max_memory_bytes" not in reading.values:
                reading.values["max_memory_bytes"] = memory
                reading.understand("max_memory_bytes", memory, found.start(), found.end())
            reading.mark(found.start(), found.end())


def _own_machine(reading: Reading) -> None:
    for found in names.OWN_MACHINE.finditer(reading.flat):
        if reading.free(found.start(), found.end()):
            reading.understand("deployment", "own machine", found.start(), found.end())
            reading.mark(found.start(), found.end())


_NO_MATTER = re.compile(
    r"[\s'-]+(?:\w+[\s'-]+){0,2}?(?:do(?:es)? ?n[o']t matter|not matter|is ?n[o']t (?:important|an issue|needed)|"
    r"irrelevant|secondary|unimportant|is no (?:issue|concern)|egal)"
)


_INDIFFERENT = {
    "cheap": r"prices?|costs?|money|budget",
    "fast": r"latency|speed",
    "small": r"size",
    "popular": r"popularity|downloads",
}
"""What may not matter without being a wish by itself."""


def _preferences(reading: Reading) -> None:
    for name, pattern in _INDIFFERENT.items():
        for found in re.finditer(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", reading.flat):
            after = _NO_MATTER.match(reading.flat, found.end())
            if after is not None and reading.free(*found.span()):
                reading.understand("preference", f"not {name}", found.start(), after.end())
                reading.mark(found.start(), after.end())
    for name, pattern in names.PREFERENCES.items():
        for found in re.finditer(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", reading.flat):
            if not reading.free(found.start(), found.end()):
                continue
            after = _NO_MATTER.match(reading.flat, found.end())
            unwanted = reading.negated(found.start()) or after
            reading.mark(found.start(), found.end(), blocked=found[0] not in ("live", "top"))
            if after is not None:
                reading.mark(found.end(), after.end())
            if unwanted:
                reading.understand("preference", f"not {name}", found.start(), found.end())
                continue
            reading.preferences.append(name)  # type: ignore[arg-type]
            reading.understand("preference", name, found.start(), found.end())
