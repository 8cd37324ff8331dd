"""What a pickle would import, read from its opcodes; it is never loaded. Pure, but for the time that it takes.

picklescan lists the imports and knows which do harm. What counts is decided here: an import is harmless only if it is
on a list (picklescan's, or ours), a file that cannot be read to its end is in error, where picklescan calls one without
imports clean, and an archive is read as a pickle as well, for some readers take its beginning for one. Bounds on
numbers come first; those on time and memory are the child's (`scanner.py`).
"""

import io
import logging
import pickletools
import zipfile
from collections.abc import Iterable
from typing import IO

from hub.security.verdict import PICKLED, Look, suffix

MOST_OPCODES = 1_000_000
MOST_PICKLES = 16
"""In one stream: PyTorch's old form has five."""
MOST_ENTRIES = 4_096
"""Of an archive."""
MOST_INFLATED = 67_108_864
"""Bytes of the pickles of an archive, inflated."""
MOST_RATIO = 200
"""Of an entry's size to what it takes: what is more is made to fill a memory."""
MOST_NAMED = 8
LONGEST_NAME = 60

HARMLESS = {
    "_codecs": {"encode"},
    "__builtin__": {"set", "frozenset", "bytearray", "complex", "slice", "object", "long", "unicode"},
    "builtins": {"set", "frozenset", "bytearray", "complex", "slice", "object"},
    "collections": {"OrderedDict", "defaultdict", "Counter"},
    "datetime": {"datetime", "date", "timedelta", "timezone"},
    "numpy": {"dtype", "ndarray", "float32", "float64", "int32", "int64", "bool_"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "torch": {
        "Size", "device", "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
        "bool", "float8_e4m3fn", "float8_e5m2",
    },
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_qtensor"},
    "torch.storage": {"TypedStorage", "UntypedStorage"},
    "torch.nn.parameter": {"Parameter"},
}  # fmt: skip
"""Beside those that picklescan knows. Each makes a value and calls nobody."""
HARMFUL = {
    "torch.storage": {"_load_from_bytes"},  # loads another pickle from bytes
    "torch": {"load"},
    "torch.hub": None,
    "joblib": {"load"},
    "dill": None,
    "dill._dill": None,
    "cloudpickle": None,
    "importlib": None,
    "importlib.util": None,
    "multiprocessing": None,
    "numpy": {"load", "fromfile"},
    "pandas": {"read_pickle"},
}
"""Beside those that picklescan knows; None: whatever of it."""
_EXTENSIONS = frozenset(("EXT1", "EXT2", "EXT4"))
_PACKED = (b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"Rar!", b"\x78\x9c")
"""How files begin that hold others, and that nobody here unpacks."""


class TooMuch(Exception):
    """A bound is passed. The message names value and limit."""


def looked(path: str, data: bytes) -> Look:
    """Look into one file. Total: whatever is wrong with it is its level and detail."""
    try:
        return _looked(path, data)
    except TooMuch as error:
        return Look("error", str(error))
    except Exception as error:  # a parser met what it does not know: such a file is not safe
        return Look("error", f"cannot be read: {type(error).__name__}")


def _looked(path: str, data: bytes) -> Look:
    if data.startswith(_PACKED) or data[257:262] == b"ustar":
        return Look("error", "is packed in a form that nobody here unpacks")
    read = [(begins, _counted(stream)) for begins, stream in _streams(path, data)]
    named = {name for _, opcodes in read for name in opcodes}
    if not named and not any(begins for begins, _ in read):
        if suffix(path) not in PICKLED:
            return Look("safe", "no pickle")
        if not _holds_none(path, data):
            return Look("error", "is no pickle that can be read, although its name says so")
    from picklescan.scanner import scan_bytes, scan_pickle_bytes

    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    result = scan_bytes(io.BytesIO(data), "file", suffix(path) or None)
    found = list(result.globals)
    if zipfile.is_zipfile(io.BytesIO(data)):
        found += scan_pickle_bytes(io.BytesIO(data), "file").globals
    imports = {(one.module, one.name): one.safety.value for one in found}
    broken = result.scan_err or any(begins and not opcodes for begins, opcodes in read)
    return judged(imports, extensions=not named.isdisjoint(_EXTENSIONS), broken=broken)


def judged(imports: dict[tuple[str, str], str], *, extensions: bool = False, broken: bool = False) -> Look:
    """What imports come to; by (module, name) what picklescan says of each."""
    harmful, unknown = [], []
    for (module, name), safety in sorted(imports.items()):
        if safety == "dangerous" or _listed(HARMFUL, module, name):
            harmful.append(f"{module}.{name}")
        elif safety != "innocuous" and not _listed(HARMLESS, module, name):
            unknown.append(f"{module}.{name}")
    if harmful:
        return Look("unsafe", f"loading it would call {_named(harmful)}")
    if broken:
        return Look("error", "its opcodes end in the middle")
    if extensions:
        return Look("suspicious", "it names imports by numbers of a registry that only its reader has")
    return Look("suspicious", f"it imports {_named(unknown)}") if unknown else Look("safe")


def _listed(table: "dict[str, set[str]] | dict[str, set[str] | None]", module: str, name: str) -> bool:
    if module not in table:
        return False
    names = table[module]
    return names is None or name in names


def _named(names: list[str]) -> str:
    shown = ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"


def _streams(path: str, data: bytes) -> Iterable[tuple[bool, bytes]]:
    """The pickles of a file, each with whether it begins as one. Raises `TooMuch` for what is made to burst."""
    yield _is_pickle(data), data
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    from picklescan.relaxed_zipfile import RelaxedZipFile

    with RelaxedZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES:
            raise TooMuch(f"an archive of {len(entries)} entries; {MOST_ENTRIES} are looked at")
        inflated = 0
        for entry in entries:
            with archive.open(entry) as file:
                begins = _is_pickle(file.read(8)) or suffix(entry.filename) == ".pkl"
                if suffix(entry.filename) not in PICKLED and not begins:
                    continue
            inflated += entry.file_size
            _bound(entry, inflated)
            with archive.open(entry) as file:
                yield begins, file.read(MOST_INFLATED + 1)


def _bound(entry: zipfile.ZipInfo, inflated: int) -> None:
    if entry.file_size > MOST_RATIO * max(entry.compress_size, 1_024):
        raise TooMuch(
            f"an entry of {entry.compress_size} bytes becomes {entry.file_size}; {MOST_RATIO} times is looked at"
        )
    if inflated > MOST_INFLATED:
        raise TooMuch(f"its pickles are {inflated} bytes or more; {MOST_INFLATED} are looked at")


def _is_pickle(head: bytes) -> bool:
    return len(head) >= 2 and head[0] == 0x80 and head[1] <= 5


def _counted(stream: bytes) -> set[str]:
    """The names of the opcodes in all pickles of a stream; none where not even the first comes to its end. Raises
    `TooMuch` for more than are looked at."""
    seen, count, file = set[str](), 0, io.BytesIO(stream)
    for _ in range(MOST_PICKLES):
        if not _one_pickle(file, seen):
            break
        count += 1
    if count == MOST_PICKLES:
        raise TooMuch(f"{MOST_PICKLES} pickles or more one after the other")
    return seen if count else set()


def _one_pickle(file: IO[bytes], seen: set[str]) -> bool:
    """Read one pickle's opcodes; whether it came to its end. What follows it is looked at next."""
    named = set[str]()
    try:
        for number, (opcode, _, _) in enumerate(pickletools.genops(file)):
            if number > MOST_OPCODES:
                raise TooMuch(f"more than {MOST_OPCODES} opcodes in one pickle")
            named.add(opcode.name)
    except TooMuch:
        raise
    except Exception:  # no pickle from here on
        return False
    seen |= named
    return True


def _holds_none(path: str, data: bytes) -> bool:
    """Whether a file that is named like a pickle may have none: numbers alone (`.npy`), or an archive of such."""
    return data[:6] == b"\x93NUMPY" or (suffix(path) == ".npz" and zipfile.is_zipfile(io.BytesIO(data)))
