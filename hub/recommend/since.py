"""How young a model is to be: "since 2024", "not older than six months", "this year". Pure."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from hub.recommend.numbers import number

_DAYS = {"day": 1, "tag": 1, "jour": 1, "dia": 1, "week": 7, "woche": 7, "semaine": 7, "semana": 7, "month": 30,
         "monat": 30, "mois": 30, "mes": 30, "year": 365, "jahr": 365, "an": 365, "ano": 365}  # fmt: skip
_UNIT = (
    r"(?P<unit>days?|weeks?|months?|years?|tagen?|tage|wochen?|monaten?|monate|jahren?|jahre?|jours?|semaines?|"
    r"mois|ans?|dias?|semanas?|meses|mes|anos?)"
)
_COUNT = (
    r"(?P<count>\d+|an?|one|two|three|four|five|six|nine|twelve|couple of|few|ein\w*|zwei|drei|sechs|zwolf|deux|"
    r"trois|six|douze|dos|tres|seis|doce)"
)
_COUNT2, _UNIT2 = _COUNT.replace("<count>", "<count2>"), _UNIT.replace("<unit>", "<unit2>")
_COUNT3, _UNIT3 = _COUNT.replace("<count>", "<count3>"), _UNIT.replace("<unit>", "<unit3>")
_RELATIVE = re.compile(
    rf"(?:(?:from|in|within|during|over|of|released in|updated in|published in|der|den|des|de los|en los|"
    rf"made in|created in|"
    rf"trained in|not before|no older than|newer than|since) )(?:the )?(?:last|past|previous|letzten|"
    rf"vergangenen|derniers?|dernieres?|ultimos|ultimas) "
    rf"(?:{_COUNT} )?{_UNIT}(?![a-z])|"
    rf"(?:updated|released|published|modified|changed|trained|refreshed|made|uploaded) (?:with)?in "
    rf"{_COUNT3} {_UNIT3}(?![a-z])|"
    rf"(?:(?:no|not|nicht|pas) (?:older|alter|plus vieux|plus ancien) (?:than|als|que de|que)|(?:younger|"
    rf"newer|less|junger|fresher) (?:than|als)|not more than|at most|under) (?:{_COUNT2} )?{_UNIT2}(?: old|"
    rf"alt)?(?![a-z])"
)
_YEAR = re.compile(
    r"(?P<word>since|after|newer than|later than|from|not older than|no older than|not before|seit|ab|nach|"
    r"depuis|apres|desde|despues de|released in|released|published in|made in|in)\s+(?:january |the year |"
    r"jan |das jahr )?(?P<year>20[12]\d)(?![\d-])(?P<later>(?: \w+)? (?:or (?:later|newer|after)|"
    r"on(?:wards?)?|and (?:later|newer|after)|oder (?:neuer|spater)))?"
)
_THIS = re.compile(
    r"(?:(?:released|published|from|made|created|new|trained) )?(?:in |within )?(?:this|dieses|diesem|cette|"
    r"este) (?P<unit>year|month|week|jahr|jahres|monat|annee|ano|mes)(?![a-z])(?:'s)?"
)


def since(text: str, at: datetime) -> Iterator[tuple[int, int, int]]:
    """Days before `at` from which on a model may have been made, and the characters that say so."""
    for found in _RELATIVE.finditer(text):
        told, unit = (
            found["count"] or found["count2"] or found["count3"],
            (found["unit"] or found["unit2"] or found["unit3"]),
        )
        if found[0].startswith(("at most", "not more", "under", "less")) and not found[0].endswith("old"):
            continue
        count = {"few": 3.0, "couple of": 2.0, "nine": 9.0, "zwolf": 12.0, "douze": 12.0, "doce": 12.0, "sechs": 6.0,
                 "seis": 6.0}.get(told or "one") or number(told or "one")  # fmt: skip
        days = _days(unit)
        if days:
            yield max(1, round(count * days)), found.start(), found.end()
    for found in _YEAR.finditer(text):
        year = int(found["year"])
        if found["word"] in ("after", "newer than", "later than", "nach", "apres", "despues de"):
            year += 1
        elif found["word"] == "in" and not found["later"]:
            continue
        began = datetime(year, 1, 1, tzinfo=UTC)
        if began < at:
            yield max(1, (at - began).days), found.start(), found.end()
    for found in _THIS.finditer(text):
        unit = found["unit"]
        began = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if unit in ("year", "jahr", "jahres", "annee", "ano"):
            began = began.replace(month=1)
        days = 7 if unit == "week" else max(1, (at - began).days)
        yield days, found.start(), found.end()


def _days(unit: str) -> int:
    for name in sorted(_DAYS, key=len, reverse=True):
        if unit.startswith(name) or (name == "mes" and unit.startswith("mes")):
            return _DAYS[name]
    return 0
