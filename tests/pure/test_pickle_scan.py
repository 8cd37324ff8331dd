"""Looking into pickles without loading one: what does harm is found in every wrapping, and what cannot be read is never
called safe."""

import io
import os
import pickle
import random
import struct
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from hub.security.pickles import MOST_OPCODES, judged, looked
from hub.security.verdict import MOST_FILE_BYTES, MOST_FILES, File, Look, chosen, files_of, suffix, unlisted, verdict

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Harm:
    """Calls what it is told to when it is loaded."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self._reduced = call, arguments

    def __reduce__(self) -> Any:
        return self._reduced


def would_touch(path: str) -> Harm:
    return Harm(os.system, f"touch {path}")


HARM = pickle.dumps(would_touch("/tmp/novix-pickle-was-loaded"))  # noqa: S108 - it must never be there
MAGIC = 0x1950A86A20F9469CFC6C


def zipped(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def old_torch(content: bytes) -> bytes:
    """As PyTorch wrote files before 1.6: five pickles, then the numbers."""
    head = [pickle.dumps(one, 2) for one in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True})]
    return b"".join([*head, content, pickle.dumps(["0"], 2), struct.pack("<q", 4), b"\x00\x01\x02\x03" * 4])


def array(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.pkl", HARM),
        ("a.pkl", pickle.dumps(would_touch("x"), 0)),
        ("pytorch_model.bin", HARM),
        ("pytorch_model.bin", zipped({"archive/data.pkl": HARM, "archive/data/0": b"\0" * 64})),
        ("pytorch_model.bin", zipped({"archive/data.pkl": HARM}, zipfile.ZIP_DEFLATED)),
        ("pytorch_model.bin", old_torch(HARM)),
        ("a.pkl", pickle.dumps([1, 2]) + HARM),
        ("a.pkl", HARM[:-1]),
        ("a.pkl", HARM + zipped({"data.pkl": pickle.dumps({})})),
        ("weights.of-no-kind", HARM),
        ("no_suffix", HARM),
        ("a.npy", array(np.array([would_touch("x")], dtype=object))),
        ("a.npz", zipped({"a.npy": array(np.array([would_touch("x")], dtype=object))})),
        ("a.pkl", pickle.dumps(Harm(import_module, "os"))),
        ("a.pkl", pickle.dumps(Harm(eval, "1"))),
        ("a.pkl", pickle.dumps(Harm(pickle.loads, b"."))),
        ("a.pkl", b"ctorch.storage\n_load_from_bytes\n(S'x'\ntR."),
        ("a.pkl", b"cwebbrowser\nopen\n(S'https://example.org'\ntR."),
    ],
)
def test_what_does_harm_when_it_is_loaded_is_found_in_every_wrapping(path: str, data: bytes) -> None:
    """B207."""
    look = looked(path, data)
    assert look.level == "unsafe", look
    assert "loading it would call" in look.detail
    assert not os.path.exists("/tmp/novix-pickle-was-loaded")  # noqa: S108


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.pkl", pickle.dumps({"a": [1, 2.5, "x", None, {3}, b"x", (1,)]})),
        ("a.pkl", b"ccollections\nOrderedDict\n)R."),
        (
            "a.bin",
            zipped({"archive/data.pkl": b"ctorch._utils\n_rebuild_tensor_v2\n.", "archive/data/0": b"\0\1" * 99}),
        ),
        ("a.bin", zipped({"archive/data.pkl": b"ctorch._utils\n_rebuild_parameter\n."})),
        ("a.npy", array(np.zeros(3))),
        ("a.npz", zipped({"a.npy": array(np.zeros(3))})),
        ("notes.of-no-kind", b"just words, and no pickle"),
    ],
)
def test_what_only_makes_values_is_safe(path: str, data: bytes) -> None:
    assert looked(path, data) == Look("safe", looked(path, data).detail)


@pytest.mark.parametrize(
    ("path", "data", "says"),
    [
        ("a.bin", b"", "no pickle that can be read"),
        ("a.bin", b"hello", "no pickle that can be read"),
        ("a.bin", random.Random(1).randbytes(64).replace(b".", b"x").replace(b"\x80", b"x"), ""),
        ("a.pkl", pickle.dumps({"a": 1})[:-1], ""),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + b"\0" * 32, "nobody here unpacks"),
        ("a.pkl.gz", b"\x1f\x8b" + b"\0" * 32, "nobody here unpacks"),
        ("a.bin", zipped({"archive/data.pkl": b"\x80\x02" + b"0" * 30_000_000}, zipfile.ZIP_DEFLATED), "times"),
        ("a.bin", zipped({f"{n}": b"" for n in range(5_000)}), "5000 entries"),
        ("a.pkl", b"\x80\x04" + b"N0" * MOST_OPCODES + b"N.", "opcodes"),
        ("a.pkl", pickle.dumps(1) * 40, "pickles or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_to_its_end_is_in_error_and_never_safe(path: str, data: bytes, says: str) -> None:
    look = looked(path, data)
    assert look.level == "error", look
    assert says in look.detail


def test_a_tar_is_not_unpacked_and_not_safe() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("data.pkl")
        entry.size = len(HARM)
        archive.addfile(entry, io.BytesIO(HARM))
    assert looked("a.tar", file.getvalue()).level == "error"


def test_an_import_that_nobody_knows_is_suspicious_and_named() -> None:
    look = looked("a.pkl", b"csklearn.linear_model\nLinearRegression\n)R.")
    assert look.level == "suspicious"
    assert "sklearn.linear_model.LinearRegression" in look.detail
    assert looked("a.pkl", b"\x80\x02\x82\x05.").level == "suspicious", "an import by number"


def test_what_was_found_before_the_end_counts_more_than_that_it_broke_off() -> None:
    assert judged({("os", "system"): "dangerous"}, broken=True).level == "unsafe"
    assert judged({("collections", "OrderedDict"): "innocuous"}, broken=True).level == "error"
    assert judged({}).level == "safe"
    many = {("m", f"n{at}" * 40): "suspicious" for at in range(50)}
    assert len(judged(many).detail) < 700
    assert "and 42 more" in judged(many).detail


def test_only_what_may_run_something_is_looked_at_and_what_is_too_large_is_named() -> None:
    files = [
        File("model.safetensors", 10**10), File("config.json", 100), File("README", 5),
        File("pytorch_model.bin", 1_000), File("big.bin", MOST_FILE_BYTES + 1), File("odd.bin", None),
        File("keras.h5", 10), File("a/b/optimizer.pt", 20),
        File(".gitattributes", 1),
    ]  # fmt: skip
    plan = chosen(files)
    assert [one.path for one in plan.looked_at] == ["a/b/optimizer.pt", "pytorch_model.bin"]
    assert set(plan.left_out) == {"big.bin", "odd.bin", "keras.h5"}
    assert str(MOST_FILE_BYTES) in plan.left_out["big.bin"]
    many = chosen(File(f"{n}.bin", 1) for n in range(MOST_FILES + 3))
    assert (len(many.looked_at), len(many.left_out)) == (MOST_FILES, 3)
    heavy = chosen(File(f"{n}.bin", MOST_FILE_BYTES) for n in range(6))
    assert len(heavy.looked_at) == 4


@pytest.mark.parametrize(
    ("looks", "left", "level", "done"),
    [
        ({}, {}, "safe", True),
        ({"a": Look("safe")}, {}, "safe", True),
        ({"a": Look("safe")}, {"b": "too large"}, "unscanned", False),
        ({"a": Look("suspicious", "x")}, {"b": "too large"}, "suspicious", False),
        ({"a": Look("error", "x")}, {}, "error", False),
        ({"a": Look("error", "x"), "b": Look("unsafe", "y")}, {}, "unsafe", False),
    ],
)
def test_a_repository_is_safe_only_if_all_of_it_was_looked_at(looks: Any, left: Any, level: str, done: bool) -> None:
    found = verdict(looks, left, at=NOW)
    assert (found.level, found.scans_done, found.source) == (level, done, "novix")
    if found.issues:
        assert found.issues[0].level == level, "the worst first"


def test_hostile_listings_are_read_as_far_as_they_are_files() -> None:
    rows = [
        {"rfilename": "a.bin", "size": 5}, {"rfilename": "b.bin", "size": -1}, {"rfilename": "c.bin", "size": True},
        {"rfilename": "d.bin", "size": "9"}, {"rfilename": 7}, {"rfilename": ""}, None, "x", {},
    ]  # fmt: skip
    assert files_of(rows) == [File("a.bin", 5), File("b.bin", None), File("c.bin", None), File("d.bin", None)]
    assert "5 rows" in unlisted(rows)["(unnamed)"]
    assert unlisted(rows[:4]) == {}
    assert list(unlisted(None)) == list(unlisted({"a": 1})) == ["(all)"]
    assert files_of(None) == []
    assert files_of({"a": 1}) == []
    long = verdict({"p" * 9_999: Look("unsafe", "d" * 9_999)}, {}, at=NOW)
    assert (len(long.issues[0].path), len(long.issues[0].detail)) == (256, 500)
    assert [suffix(path) for path in ("a/B.BIN", "a.d/b", ".x", "a.tar.gz")] == [".bin", "", ".x", ".gz"]


class Reached(Exception):
    """The first import of a pickle."""


class First(pickle._Unpickler):  # type: ignore[misc,name-defined]
    """Runs a pickle up to the first thing that it would import, which it does not get."""

    def find_class(self, module: str, name: str) -> Any:
        raise Reached(module, name)


def first_import(data: bytes) -> tuple[str, str] | None:
    """What loading these bytes would import first; None: nothing, or they are no pickle."""
    try:
        First(io.BytesIO(data)).load()
    except Reached as reached:
        return reached.args[0], reached.args[1]
    except Exception:
        return None
    return None


def test_no_edit_of_a_malicious_pickle_makes_it_safe_while_it_still_imports() -> None:
    """Bytes changed, cut out and put in, two thousand times: held against what Python's own reader would import."""
    dice = random.Random(7)
    whole = [pickle.dumps([Harm(call, "x")], protocol) for call in (os.system, eval) for protocol in range(6)]
    harmful = {("posix", "system"), ("builtins", "eval"), ("__builtin__", "eval")}
    imported = 0
    for _ in range(2_000):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data) + 1)
            data[at : at + dice.randint(0, 2)] = bytes(dice.choice(b"(]}).0Kq\x94\x8c\x93cRto\x85h") for _ in range(2))
        wanted, level = first_import(bytes(data)), looked("a.pkl", bytes(data)).level
        assert wanted is None or level != "safe", bytes(data)
        assert wanted not in harmful or level in ("unsafe", "error"), bytes(data)
        imported += wanted in harmful
    assert imported > 100, "the edits leave enough that would do harm"


def test_to_look_imports_nothing_that_a_pickle_names() -> None:
    before = set(sys.modules)
    looked("a.pkl", b"cantigravity\nfly\n)R.")
    assert "antigravity" not in set(sys.modules) - before
