"""Prices, budgets and numbers of requests. Pure; see `hub.recommend.quantities`."""

import re
from collections.abc import Iterator

from hub.recommend.numbers import (
    DAYS_A_MONTH,
    DIGITS,
    NANO,
    NUMBER,
    SCALE,
    SCALED,
    TIMES,
    Limit,
    Odd,
    limit,
    number,
    side,
)

_UNIT = (
    r"(?:requests?|calls?|quer(?:y|ies)|images?|pictures?|jobs?|inferences?|predictions?|documents?|docs?|pages?|"
    r"items?|"
    r"messages?|files?|texts?|emails?|each|apiece|generations?|anfragen?|aufrufe?|bilder|bild|requete|appel|"
    r"peticion(?:es)?|llamadas?|consultas?|go|shot|run|pop|answers?|articles?|videos?|songs?|clips?|"
    r"transcriptions?|translations?|conversations?|chats?|summar(?:y|ies)|reviews?|photos?|tickets?|users?|"
    r"sentences?|comments?|tweets?|posts?|records?|minutes? of audio|hours? of audio|audio minutes?|"
    r"characters?|chars?)"
)
_PERIODS = {
    "second": 86_400 * DAYS_A_MONTH,
    "sec": 86_400 * DAYS_A_MONTH,
    "s": 86_400 * DAYS_A_MONTH,
    "minute": 1_440 * DAYS_A_MONTH,
    "min": 1_440 * DAYS_A_MONTH,
    "hour": 24 * DAYS_A_MONTH,
    "hr": 24 * DAYS_A_MONTH,
    "stunde": 24 * DAYS_A_MONTH,
    "heure": 24 * DAYS_A_MONTH,
    "hora": 24 * DAYS_A_MONTH,
    "day": DAYS_A_MONTH,
    "tag": DAYS_A_MONTH,
    "jour": DAYS_A_MONTH,
    "dia": DAYS_A_MONTH,
    "daily": DAYS_A_MONTH,
    "week": DAYS_A_MONTH / 7,
    "weekly": DAYS_A_MONTH / 7,
    "woche": DAYS_A_MONTH / 7,
    "semaine": DAYS_A_MONTH / 7,
    "semana": DAYS_A_MONTH / 7,
    "month": 1,
    "monthly": 1,
    "mo": 1,
    "monat": 1,
    "mois": 1,
    "mes": 1,
    "year": 1 / 12,
    "yearly": 1 / 12,
    "jahr": 1 / 12,
    "annually": 1 / 12,
    "an": 1 / 12,
}
"""How many of each a month has."""
_PERIOD = "|".join(sorted((name for name in _PERIODS if name not in ("s", "an")), key=len, reverse=True))
_PER = (
    r"(?:\s*/\s*|\s+(?:per|a|an|each|every|for|for each|for every|pro|je|par|por|al|am|la|le|im|in der|in a|in "
    r"one|cada|jede[nrs]?|chaque)\s+(?:the\s+|an?\s+)?)"
)
_COIN = (
    r"(?:us dollars?|dollars?|dolares|usd|bucks?|cents?|centimes?|centavos?|ct|¢|\$|euros?|eur|€|£|pounds?|gbp|"
    r"chf|francs?|yen|¥)"
)
_MONEY = re.compile(
    rf"(?:(?P<sign>us ?\$|usd ?|\$|€|£|¥|eur ?)\s?{NUMBER.replace('<number>', '<first>')}(?:\s?(?P<scale>k|"
    rf"m)(?![a-z]))?|"
    rf"{NUMBER}\s?(?P<coin>{_COIN})(?![a-z]))"
)
_TOKENS = (
    rf"(?:(?P<times>{DIGITS}|one|a|an|thousand|million)?\s?(?P<many>{SCALE}|mtok)?)\s?-?(?:(?:input|output|"
    rf"prompt|completion|generated)\s)?(?P<unit>tokens?|toks?|tk|mtok|{_UNIT}|$)?"
)
_PER_TOKENS = re.compile(rf"(?:{_PER})(?:{_TOKENS})")
_PER_TIME = re.compile(
    rf"(?:{_PER}(?P<period>{_PERIOD})s?\b|\s+(?P<adverb>monthly|daily|weekly|yearly|annually)\b|\s+(?:in "
    rf"total\s+)?(?:al|pro|par)\s+(?P<other>mes|monat|mois)\b)"
)


_NO_REQUEST = re.compile(r"token|\bchar|(?:seconds|minutes|hours) of")
_SHORT = re.compile(r"second|sec|s|minute|min|hour|hr|stunde|heure|hora")


def money(text: str) -> Iterator[Limit | Odd]:
    for found in _MONEY.finditer(text):
        told = found["first"] or found["number"]
        coin = (found["sign"] or found["coin"]).strip()
        value = number(told, found["scale"])
        if re.match(r"cents?|ct|¢", coin):
            value /= 100
        _, start, end = side(text, found.start(), found.end())
        rest = text[found.end() :]
        gap = re.match(r"\s+(?:or less|max(?:imum)?|tops|at most)", rest)
        skip = gap.end() if gap else 0
        per, time = _PER_TOKENS.match(rest, skip), _PER_TIME.match(rest, skip)
        each = re.match(r"\s+(?:each|apiece|a piece|a pop|per go)\b", rest[skip:])
        if not re.match(r"us ?\$|usd|us dollars?|dollars?|dolares|bucks?|cents?|ct|¢|\$", coin):
            tail = max((one.end() for one in (per, time) if one), default=0)
            yield Odd("an amount that is not in US dollars", start, found.end() + tail)
        elif time and _SHORT.match(time["period"] or ""):
            yield Odd("a price for a length of time", start, found.end() + time.end())
        elif time:
            period = time["period"] or time["adverb"] or time["other"]
            yield limit(
                "max_nanousd_per_month", round(value * _PERIODS[period] * NANO), start, found.end() + time.end()
            )
        elif re.search(
            r"(?:monthly|per month|a month|each month|monat\w*|mensuel\w*|mensual\w*|month's)\W+(?:\w+\W+){0,4}$",
            text[:start],
        ):
            yield limit("max_nanousd_per_month", round(value * NANO), start, end)
        elif per and (per["unit"] or per["many"] or per["times"]) and (unit := _unit(per)) is not None and unit[1]:
            kind, times = unit
            name = "max_nanousd_per_mtok" if kind == "tokens" else "max_nanousd_per_request"
            yield limit(
                name, round(value * (1e6 if kind == "tokens" else 1) / times * NANO), start, found.end() + per.end()
            )
        elif each:
            yield limit("max_nanousd_per_request", round(value * NANO), start, found.end() + skip + each.end())
        else:
            tail = per.end() if per else 0
            yield Odd("an amount without what it is for", start, max(end, found.end() + tail))


def _unit(per: re.Match[str]) -> tuple[str, float] | None:
    """What a price is for, tokens or requests, and how many of them; None: something that no request is."""
    times = number(per["times"]) if per["times"] and per["times"] not in TIMES else TIMES.get(per["times"] or "", 1.0)
    unit, many = per["unit"] or "", per["many"]
    if many == "mtok" or unit == "mtok":
        return "tokens", times * 1e6
    times *= TIMES.get(many or "", 1.0)
    if unit.startswith("tok") or unit == "tk" or (not unit and many in ("m", "million", "mio")):
        return "tokens", times
    if not unit or "audio" in unit or unit.startswith(("char", "user", "page of")):
        return None
    return "requests", times


_RATE = re.compile(
    rf"{SCALED}\s*(?:(?:[a-z]+\s){{0,2}}?[a-z]+?)??(?:{_PER}(?P<period>{_PERIOD})s?\b|\s+(?P<adverb>daily|"
    rf"weekly|monthly|yearly)\b|\s?(?P<short>rps|qps)\b)"
)


def rates(text: str) -> Iterator[Limit | Odd]:
    for found in _RATE.finditer(text):
        if (
            _NO_REQUEST.search(found[0])
            or re.search(r"[$€£]\s?$", text[: found.start()])
            or (not found["number"][0].isdigit() and not found["scale"])
        ):
            continue
        period = "second" if found["short"] else found["period"] or found["adverb"]
        value = number(found["number"], found["scale"]) * _PERIODS[period]
        _, start, end = side(text, found.start(), found.end())
        yield limit("requests_per_month", round(value), start, end)
