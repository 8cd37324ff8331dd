"""How large a model's weights are, by the files that its page lists with `blobs=true`. Pure.

For models of which no header tells it: the Hub's `gguf` object counts numbers and not bytes, and of pickles it says
nothing. Lists of models have no sizes of files, so this is known only of models that were looked at one by one.
"""

import re
from typing import Any

from hub.catalog.fields import is_count

_PART = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<ending>\.[a-z]+)")
_ASIDE = re.compile(r"mmproj|imatrix|adapter|lora|optimizer", re.IGNORECASE)
"""Files that are read beside a model's weights, or were by its training: no set of weights."""
_FORMS = (
    re.compile(r"model\.safetensors"),
    re.compile(r"pytorch_model\.bin"),
    re.compile(r"(?:.*/)?[^/]+\.gguf"),
)
"""Whole sets of weights, by the name of their file or the common name of its parts. The first form that a repository
has counts."""


def files_bytes(siblings: Any) -> int | None:
    """The bytes of one whole set of weights. Of several (a gguf repository has one for each precision) the smallest:
    who has less room can run none of them. None: there is none, or the size of one is not told."""
    sets: dict[str, list[tuple[int, int, Any]]] = {}
    for one in siblings if isinstance(siblings, list) else ():
        path = one.get("rfilename") if isinstance(one, dict) else None
        if not isinstance(path, str) or len(path) > 1_024 or _ASIDE.search(path.rpartition("/")[2]):
            continue
        part = _PART.fullmatch(path)
        name = path if part is None else part["stem"] + part["ending"]
        place, count = (1, 1) if part is None else (int(part["number"]), int(part["count"]))
        sets.setdefault(name, []).append((place, count, one.get("size")))
    for form in _FORMS:
        found = [told for name, told in sets.items() if form.fullmatch(name)]
        if found:
            sizes = [_whole(told) for told in found]
            known = [size for size in sizes if size]
            return min(known) if len(known) == len(sizes) else None
    return None


def _whole(parts: list[tuple[int, int, Any]]) -> int | None:
    """Of a set all of whose parts are there, each once."""
    count = parts[0][1]
    if {place for place, _, _ in parts} != set(range(1, count + 1)) or len(parts) != count:
        return None
    sizes = [size for _, _, size in parts]
    return sum(sizes) if all(is_count(size) for size in sizes) else None
