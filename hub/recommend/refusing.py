"""What turns something that is named into something that is not wanted: words before it, and words behind it. Pure.

To read a refusal as a wish is the worst that a reader of sentences can do, so that these rules err towards refusing.
"""

import re

NEGATED = re.compile(
    r"(?:\b(?:not|no|nothing|none|without|except(?:ing)?(?: for)?|exclud\w+|avoid\w*|never|other than|instead of|"
    r"rather than|non|(?<!depth )(?<!segment )anything but|everything but|"
    r"neither|nor|ohne|kein\w*|nicht|nichts|sans|pas|rien|sin|nada|excepto|sauf|ausser|minus|cannot|forbid\w*|"
    r"ban(?:ned)?|hates?|dislikes?|"
    r"skip|refuse\w*|reject\w*|ni)\b|n't\b)"
    r"(?:[\s,:'\"()-]+(?:any|an?|the|from|by|on|under|with|via|using|use|be|of|in|for|want|need|something|"
    r"von|aus|auf|models?|modell\w*|modeles?|modelos?|anything|host(?:ed)?|"
    r"served|licen[cs](?:e[ds]?|ias?)|lizenz\w*|based|through|to|into|have|has|one|ones|made|it|is|are|stuff|run|runs|"
    r"running|de|du|des|la|le|les|el|chez|bei|mit|der|die|den|das|dem|nach|"
    r"send|sent|sending|go|goes|going|transfer\w*|ship\w*|move\w*|data|daten|donnees|datos|"
    r"allow(?:ed)?|touch|require|requires|looking|like|really|a|me|give|as|about|which|that|do|does|involve|"
    r"at)){0,5}[\s,:'\"()-]*$"
)
"""What stands before something that is not wanted."""
JOINED = re.compile(
    r"^\s*(?:,|or|and|nor|/|,\s*or|,\s*and|oder|und|ou|et|o|ni|y|noch|&)\s*(?:from |by |on |the |a |an |via |any )*$"
)
"""What joins two things that are wanted, or not wanted, alike."""
_VERB = r"(?:is|are|ist|sind|would be|must be|should be|may be|must|may|can|shall|should|be)?"
_NOT = r"(?:\s*not|n't|not|\s*never|\s*nicht|\s*no longer)\s+(?:be\s+)?"
_REFUSED = (
    rf"\s+(?:{_VERB}{_NOT}(?:ok(?:ay)?|allowed|acceptable|accepted|permitted|wanted|welcome|possible|an? option|fine|"
    r"used?|erlaubt|erwunscht|zulassig|moglich)|"
    r"(?:is|are|ist|sind)\s+(?:strictly |absolutely )?(?:forbidden|excluded|banned|out|prohibited|unacceptable|"
    r"disallowed|off limits|ruled out|a no[ -]?go|verboten|ausgeschlossen|tabu))(?![a-z])"
)
_NAMED = r"(?:[ -](?:licen[cs]\w*|models?|weights|lizenz\w*|modelle|only|usage|v?\d(?:\.\d)?)){0,3}"
REFUSED = re.compile(_NAMED + _REFUSED)
"""What stands behind something that is not wanted: "is not allowed"."""
REFUSAL = re.compile(_REFUSED + r"(?=\s*(?:[,.;!)]|$|but\b|and\b))")
"""The same where it ends what it is said of: it refuses nothing that follows."""
NEEDLESS = re.compile(
    _NAMED + rf"\s+{_VERB}{_NOT}(?:needed|required|necessary|important|asked for|notig|notwendig)(?![a-z])"
)
"""What stands behind something that is neither wanted nor unwanted."""
_OTHERS_THAN = re.compile(
    r"(?<![a-z])(?<!depth )(?<!segment )(?:any|all|every|any ?thing|any ?one|every ?thing|"
    r"whatever) (?:\w+ ){0,2}?but(?= )"
    r"(?! (?:not|it|i|we|the (?:data|price))\b)"
)
_ANY = r"(?: me)?(?: (?:anything|everything|something|any|all|the|those|whatever))?(?: ?(?:models?|ones?))?"
_LIMIT_TURNED = re.compile(
    r"(?:(?<![a-z])(?:nothing|none|no (?:models?|ones?)|no one|nichts|rien|nada|nor|not|n't|never(?: go| be| use)?)|"
    r"(?<![a-z])(?:(?:skip\w*|ignor\w*|forget(?: about)?|exclud\w+|avoid\w*|without|reject\w*|drop|discard|refuse\w*|"
    r"(?:do not|don't|dont|never|not) (?:want|use|like|accept|take|consider|show|give|recommend|offer|suggest|buy)))"
    rf"{_ANY})(?: (?:that|which|who))?(?: (?:is|are|has|have|costs?|weighs?|takes?))?(?: with)?\s+$"
)
"""Words before a limit that compares, and that they turn round."""
_COMPARES = re.compile(
    r"(?:under(?:neath)?|beneath|below|over|above|exceed\w*|(?:less|lower|fewer|smaller|shorter|faster|quicker|"
    r"cheaper|more|bigger|larger|greater|higher|longer|slower|heavier|dearer|newer|older) than)\b"
)


def others_than(text: str) -> str:
    """The text with "any X but Y" as "any X not Y", of the same length."""
    return _OTHERS_THAN.sub(lambda found: found[0][:-3] + "not", text)


def turned(before: str, sign: str) -> re.Match[str] | None:
    """The words before a limit that turn it round: "nothing under", "skip anything over". `sign` is what makes it a
    limit, which must compare: "at most" is never turned."""
    return _LIMIT_TURNED.search(before) if _COMPARES.match(sign) else None
