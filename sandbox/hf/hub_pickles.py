"""Two repositories with a pickle in them, for who looks into such files: one holds numbers, one would call something.

What the second would call does no harm (it asks for the current folder): a scanner has to flag it all the same, for a
pickle that calls anything of `os` could call everything. Pure.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any

from sandbox.hf.hub_rows import FIRST_S, stamp

Row = dict[str, Any]
CLEAN, FLAGGED = "novix-sandbox/pickled-numbers", "novix-sandbox/pickled-call"
FILE = "model.pt"
_CALL = b"\x80\x02cos\ngetcwd\n)R."
"""`os.getcwd()` in opcodes: its name, no arguments, call, end."""


@cache
def files() -> Mapping[str, Mapping[str, bytes]]:
    """By repository and path, in the form that PyTorch writes: a zip archive with a pickle inside."""
    numbers = OrderedDict(weight=[0.125 * step for step in range(64)], bias=[0.0])
    return {
        CLEAN: {FILE: _archive(pickle.dumps(numbers, protocol=2))},
        FLAGGED: {FILE: _archive(_CALL)},
    }


def _archive(pickled: bytes) -> bytes:
    """The same bytes every time: entries have no date of their own."""
    told = io.BytesIO()
    with zipfile.ZipFile(told, "w") as archive:
        for name, data in (("model/data.pkl", pickled), ("model/version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(name), data)
    return told.getvalue()


def rows() -> list[Row]:
    """What the Hub's lists tell of them; its scanners agree with what stands in the files."""
    from sandbox.hf.hub_known import made_id, made_sha

    return [
        {
            "_id": made_id(name), "id": name, "author": name.partition("/")[0], "sha": made_sha(name), "private": False,
            "gated": False, "disabled": False, "downloads": 0, "likes": 0, "createdAt": stamp(FIRST_S),
            "lastModified": stamp(FIRST_S), "tags": ["pytorch", "license:mit", "region:us"],
            "cardData": {"license": "mit"}, "securityRepoStatus": {"scansDone": True, "filesWithIssues": issues},
        }
        for name, issues in ((CLEAN, []), (FLAGGED, [{"path": FILE, "level": "unsafe"}]))
    ]  # fmt: skip
