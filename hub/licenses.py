"""Licences as the Hub writes them, as ids of the SPDX licence list, and what sort of licence each is. Pure.

The ids come from the index that `license-expression` carries (ScanCode LicenseDB, CC-BY-4.0, with SPDX's ids). What is
no single licence of that list has no SPDX id here: a family ("gpl", "cc"), a vendor's own terms ("llama3.1"), "other".
It is None, never the nearest one: whoever is refused for an unknown licence can look, whoever was allowed by a guess
cannot.
"""

import functools
import re
from collections.abc import Mapping
from typing import Literal

from license_expression import get_license_index

Family = Literal[
    "permissive", "public-domain", "weak-copyleft", "copyleft", "non-commercial", "responsible-use", "vendor",
    "restricted",
]  # fmt: skip
"""`responsible-use`: the RAIL licences, which forbid uses. `vendor`: terms of one maker's own. `restricted`: source is
there, with other conditions."""

LONGEST = 128
"""Characters of a licence's name; a longer one is none."""
OWN_PREFIX = "LicenseRef-"
"""Begins an id for a licence that SPDX does not list (SPDX 2.3, annex D)."""

_SPELT: Mapping[str, str] = {
    "apache": "",  # also a family: 1.0, 1.1 and 2.0 differ
    "apache2": "Apache-2.0",
    "apache2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apache-v2": "Apache-2.0",
    "apache-v2.0": "Apache-2.0",
    "bsd": "",
    "bsd-2": "BSD-2-Clause",
    "bsd-3": "BSD-3-Clause",
    "c-uda": "C-UDA-1.0",
    "cc": "",
    "cc0": "CC0-1.0",
    "epl": "",
    "gfdl": "",
    "gpl": "",
    "gplv2": "GPL-2.0-only",
    "gplv3": "GPL-3.0-only",
    "agplv3": "AGPL-3.0-only",
    "lgpl": "",
    "lgpl-lr": "LGPLLR",
    "lgplv3": "LGPL-3.0-only",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
    "other": "",
    "unknown": "",
    "none": "",
}
"""Names of the Hub's list and of people's cards that are no ids; empty: several licences, or none, have this name."""

_FAMILIES: Mapping[str, Family] = {
    "Permissive": "permissive",
    "Public Domain": "public-domain",
    "Copyleft Limited": "weak-copyleft",
    "Copyleft": "copyleft",
    "Source-available": "restricted",
    "Proprietary Free": "restricted",
    "Free Restricted": "restricted",
    "Commercial": "restricted",
}
"""Of the index's categories."""

_NON_COMMERCIAL = re.compile(r"(^|-)nc(-|$)")
_RESPONSIBLE = re.compile(r"(^|-)(open)?rail(\+\+)?(-|$)")
_VENDOR = re.compile(
    r"^(llama|gemma|gemini|qwen|deepseek|deepfloyd|apple|intel|nvidia|cohere|tongyi|falcon|grok|fair|h-research)"
)


@functools.cache
def _listed() -> Mapping[str, tuple[str, str]]:
    """By id in small letters: the id as SPDX writes it, and the index's category. Ids that SPDX gave up stand for what
    took their place: `GPL-3.0` for `GPL-3.0-only`, as the list says of it."""
    known: dict[str, tuple[str, str]] = {}
    older: dict[str, tuple[str, str]] = {}
    for row in get_license_index():
        name = row.get("spdx_license_key") or ""
        if not name or name.startswith(OWN_PREFIX) or row.get("is_exception") or row.get("is_deprecated"):
            continue
        known[name.lower()] = name, row["category"]
        for other in row.get("other_spdx_license_keys", ()):
            if not other.startswith(OWN_PREFIX):
                older.setdefault(other.lower(), (name, row["category"]))
    return {**older, **known}


@functools.lru_cache(maxsize=4_096)
def spdx_of(raw: str | None) -> str | None:
    """The SPDX id of a licence as somebody wrote it; None: unknown, several, or none that SPDX lists.

    Capitals, a leading `license:`, blanks for hyphens and a trailing word "license" do not count. An expression of
    several licences is none.
    """
    plain = _plain(raw)
    if plain is None:
        return None
    spelt = _SPELT.get(plain)
    if spelt is not None:
        return spelt or None
    found = _listed().get(plain)
    return None if found is None else found[0]


def named(raw: str | None) -> str | None:
    """As a rule names a licence: its SPDX id, or `LicenseRef-` and the Hub's own name of one that SPDX does not list
    (`LicenseRef-llama3.1`). None: nobody has said which licence it is."""
    known = spdx_of(raw)
    if known is not None:
        return known
    plain = (_plain(raw) or "").removeprefix(OWN_PREFIX.lower())
    if plain in ("", "other", "unknown", "none", "license") or not re.fullmatch(r"[a-z0-9.+-]+", plain):
        return None
    if re.search(r"-(or|and|with)-", plain):
        return None  # several licences
    return OWN_PREFIX + plain.replace("+", "p")  # an id may have letters, digits, dots and hyphens


def family_of(raw: str | None) -> Family | None:
    """What sort of licence it is; None: not known."""
    known = spdx_of(raw)
    plain = _plain(raw)
    if known is not None:
        if _NON_COMMERCIAL.search(known.lower()):
            return "non-commercial"
        return _FAMILIES.get(_listed()[known.lower()][1])
    if plain is None:
        return None
    if _RESPONSIBLE.search(plain):
        return "responsible-use"
    if _VENDOR.match(plain):
        return "vendor"
    return "non-commercial" if _NON_COMMERCIAL.search(plain) else None


def _plain(raw: str | None) -> str | None:
    """A name in one spelling; None for what is no name."""
    if not isinstance(raw, str) or len(raw) > LONGEST:
        return None
    told = raw.strip().lower().removeprefix("license:").strip()
    told = re.sub(r"[\s_]+", "-", told)
    told = re.sub(r"-(license|licence)(?=-|$)", "", told)
    return told or None
