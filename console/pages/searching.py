"""The search line and the form beside it: two ways to say the same. Pure.

The line is what a list's address holds, as it was written (`since=1h` stays relative); the form's fields are words
of it.
"""

import re
from collections.abc import Mapping

from console.pages.render import quoted

FIELDS = {
    "status": "status",
    "tenant": "tenant",
    "model": "model",
    "provider": "provider",
    "min": "min",
    "max": "max",
    "cost_from": "cost>=",
    "cost_to": "cost<=",
    "since": "since",
    "until": "until",
}
"""A field's name in the form, and how the line says it."""
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+')
_SAYS = {f"{key}{'' if key[-1] == '=' else '='}": name for name, key in FIELDS.items()}


def split(line: str) -> tuple[str, dict[str, str]]:
    """The line without the words that the form says, and what its fields show. The last word of a kind counts."""
    rest, fields = [], {}
    for word in _WORD.findall(line):
        said = next((start for start in _SAYS if word.startswith(start)), None)
        if said is None:
            rest.append(word)
        else:
            fields[_SAYS[said]] = _unquoted(word[len(said) :])
    return " ".join(rest), fields


def joined(rest: str, fields: Mapping[str, str]) -> str:
    """The line that says both; empty fields say nothing."""
    says = {name: start for start, name in _SAYS.items()}
    words = [f"{says[name]}{quoted(value.strip())}" for name, value in fields.items() if value.strip()]
    return " ".join(filter(None, (" ".join(words), rest.strip())))


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1] if len(value) > 1 and value.endswith('"') else value[1:])
