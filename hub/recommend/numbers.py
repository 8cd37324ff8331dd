"""Numbers as people write them, and whether they are told as a limit: what the grammar of quantities is made of. Pure.

Works on text that `hub.discovery.phrases.plain` made: small letters, no accents.
"""

import re
from dataclasses import dataclass

from hub.recommend.refusing import turned

DAYS_A_MONTH = 30
NANO = 10**9
LARGEST = 10**18
"""Of what a limit may be, in its own unit: what is larger is told as not understood."""

DIGITS = r"(?:\d{1,3}(?:[,']\d{3})+(?![\d,.])|\d+(?:[.,]\d+)?|\.\d+)"
_SMALL = {
    "one": 1, "a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "eighty": 80, "ein": 1, "eine": 1, "einer": 1, "einem": 1, "zwei": 2, "drei": 3, "funf": 5, "zehn": 10, "un": 1,
    "une": 1, "deux": 2, "trois": 3, "cinq": 5, "dix": 10, "uno": 1, "una": 1, "dos": 2, "tres": 3, "cinco": 5,
    "diez": 10, "couple of": 2, "a couple of": 2,
}  # fmt: skip
_HALVES = r"(?:half (?:of )?an?|an? half|half|eine[rn]? halben?|halbe[rn]?|une demi|demi|medio|media)"
_ONES = "|".join(sorted(_SMALL, key=len, reverse=True))
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "twentieth": 20, "hundredth": 100,
          "thousandth": 1_000}  # fmt: skip
_PART_OF = rf"(?:(?:an?|one) (?P<part>{'|'.join(_PARTS)})|1/(?P<denominator>[1-9]\d{{0,3}})) (?:of )?(?:an?|one)"
_OF = re.sub(r"\?P<\w+>", "?:", _PART_OF)
_SPELT = rf"(?:{_OF}|{_HALVES}|(?:{_ONES})(?: and a half)?(?:[ -](?:hundred|thousand|million|billion))?)"
TIMES = {
    "k": 1e3,
    "thousand": 1e3,
    "tausend": 1e3,
    "mille": 1e3,
    "mil": 1e3,
    "hundred": 1e2,
    "m": 1e6,
    "mio": 1e6,
    "mn": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "millionen": 1e6,
    "millones": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "billion": 1e9,
    "billions": 1e9,
    "mrd": 1e9,
    "milliarden": 1e9,
    "milliards": 1e9,
    "mil millones": 1e9,
}
SCALE = "|".join(sorted(TIMES, key=len, reverse=True))
NUMBER = rf"(?P<number>(?<![\w.,]){DIGITS}|\b{_SPELT}\b)"
SCALED = rf"{NUMBER}(?:[ -]?(?P<scale>{SCALE})(?![a-z]))?"
APPROX = (
    r"(?:about |around |roughly |approximately |approx\.? |circa |ca\.? |etwa |environ |unos |~ ?|just |only |"
    r"the |a |an )?"
)

_AT_MOST = re.compile(
    r"(?:under|underneath|beneath|below|less than|lower than|fewer than|smaller than|shorter than|faster "
    r"than|quicker than|cheaper than|"
    r"(?:at|a) (?:most|max(?:imum)?|the most)|no (?:more|larger|bigger|longer|slower|higher|greater) than|no "
    r"longer than|"
    r"not (?:to )?(?:be )?(?:more|larger|bigger|longer|slower|higher|over|above|beyond|exceed(?:ing)?)(?: "
    r"than)?|(?:n't|not|never) "
    r"(?:exceed|go over|go above|cost more than|take more than|take longer than|be larger than|be over|be "
    r"above|be more than|be bigger "
    r"than|spend more than|pay more than|need more than|use more than|want more than|be slower than)|"
    r"max(?:imum|imal|imo|i)?\.?(?: of| is|:)?|up to|"
    r"within|in|inside|<=?|≤|limit(?:ed)?(?: of| to| is|:)?|ceiling(?: of| is|:)?|cap(?:ped)?(?: of| at| is|"
    r":)?|budget(?: of| is|:)?|keep it to|unter|"
    r"hochstens|maximal|(?:weniger|kleiner|schneller|kurzer|niedriger|leichter|gunstiger|billiger) als|"
    r"plus (?:rapide|petite?|legere?) que|moins chere? que|"
    r"mas (?:rapid[oa]|pequen[oa]|barat[oa]|liger[oa]) que|menos que|bis(?: zu)?|"
    r"nicht (?:mehr|grosser|langer|uber)(?: als)?|"
    r"innerhalb(?: von)?|binnen|"
    r"moins (?:de|d')|inferieure? a|au plus|jusqu'?a|pas plus de|maximum de|menos de|como maximo|hasta|"
    r"inferior(?:es)? a|no mas de|"
    r"por debajo de|en dessous de|sub|spend|afford|pay|got|have)[\s:-]*" + APPROX + r"$"
)
_OR_LESS = re.compile(
    r"[ ,-]*(?:[a-z]+ ){0,2}?(?:or (?:less|smaller|under|below|lower|fewer|faster|cheaper|quicker)|"
    r"max(?:imum)?\b|tops|at (?:the )?most|"
    r"and (?:below|under|smaller|less)|oder (?:weniger|kleiner|schneller)|ou moins|o menos|limit|ceiling|cap\b|budget)"
)
_AT_LEAST = re.compile(
    r"(?:at least|atleast|more than|over|above|bigger than|larger than|greater than|higher than|longer than|"
    r"min(?:imum|imal)?\.?(?: of| "
    r"is|:)?|no (?:less|smaller|fewer|lower|shorter) than|(?:not|n't|never) (?:to )?(?:be )?"
    r"(?:less|smaller|fewer|lower|shorter|under|below)(?: than)?|"
    r">=?|≥|exceed(?:s|ing)?|"
    r"mindestens|mehr als|grosser als|uber|ab|au moins|plus de|superieure? a|al menos|mas de|mayor(?:es)? "
    r"(?:de|que|a)|"
    r"como minimo)[\s:]*" + APPROX + r"$"
)
_OR_MORE = re.compile(
    r"[ -]*(?:[a-z]+ ){0,2}?(?:or (?:more|larger|bigger|above|higher|greater|up|longer|better)|and (?:up|"
    r"above|over|more)|plus\b|\+|"
    r"minimum\b|oder (?:mehr|grosser)|ou plus|o mas)"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a quantity limits: fields of `Constraints` with their values, and the characters that say so."""

    values: tuple[tuple[str, int], ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Odd:
    """A quantity that is surely a limit, and why it cannot be held."""

    why: str
    start: int
    end: int


def limit(field: str, value: int, start: int, end: int) -> Limit:
    return Limit(((field, value),), start, end)


def number(told: str, scale: str | None = None) -> float:
    """The value of a number as people write it (`_number`), at most one that is sure to be told as too large."""
    return min(_number(told, scale), 10.0 * LARGEST)


def _number(told: str, scale: str | None) -> float:
    """The value of a number as people write it: `1,500`, `0,5`, `half a`, `two million`. A comma before three digits
    parts thousands, any other is a decimal one."""
    times = TIMES.get(scale or "", 1.0)
    if (part := re.fullmatch(_PART_OF, told)) is not None:
        return times / (_PARTS[part["part"]] if part["part"] else int(part["denominator"]))
    if told[0].isdigit() or told[0] == ".":
        if re.fullmatch(r"\d{1,3}(?:[,']\d{3})+", told):
            return float(re.sub("[,']", "", told)) * times
        return float(told.replace(",", ".")) * times
    if re.fullmatch(_HALVES, told):
        return 0.5 * times
    head, _, tail = told.partition(" and a half")
    words = re.split("[ -]", (head + tail).strip())
    if words[-1] in TIMES and len(words) > 1:
        times *= TIMES[words.pop()]
    return (_SMALL.get(" ".join(words), 1) + (0.5 if " and a half" in told else 0.0)) * times


def side(text: str, start: int, end: int) -> tuple[str, int, int]:
    """Whether the quantity at `start` to `end` is a `max`, a `min` or neither (""), and the characters with that."""
    before = text[max(0, start - 48) : start]
    signs = [(sign, left.search(before)) for sign, left in (("max", _AT_MOST), ("min", _AT_LEAST))]
    told = [(sign, found) for sign, found in signs if found is not None and _begins_a_word(before, found.start())]
    if told:  # of "not smaller than" and "smaller than" the longer
        sign, found = min(told, key=lambda one: one[1].start())
        begins = start - len(before) + found.start()
        if (turns := turned(text[max(0, begins - 48) : begins], found[0])) is not None:
            return ("min" if sign == "max" else "max"), begins - len(turns[0]), end
        return sign, begins, end
    for sign, right in (("max", _OR_LESS), ("min", _OR_MORE)):
        after = right.match(text, end)
        if after is not None:
            return sign, start, after.end()
    return "", start, end


def _begins_a_word(text: str, place: int) -> bool:
    return place == 0 or not (text[place - 1].isalnum() and text[place].isalnum())
