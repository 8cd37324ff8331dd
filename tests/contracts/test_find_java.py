"""Which Java is taken, out of folders made by this test; none of them is ever run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.kafka.java import NoJavaError, find_java


@pytest.fixture(autouse=True)
def _no_package_index(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def java_home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch(mode=0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return folder


def test_java_home_wins_over_the_path(tmp_path: Path):
    named, other = java_home(tmp_path / "a", "21.0.1"), java_home(tmp_path / "b", "17.0.15")

    found = find_java({"JAVA_HOME": str(named), "PATH": str(other / "bin")}, cache=tmp_path / "cache")

    assert (found.version, found.home) == ("21.0.1", named)


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path):
    old, new = java_home(tmp_path / "a", "11.0.2"), java_home(tmp_path / "b", "17.0.15")

    found = find_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")}, cache=tmp_path / "cache")

    assert found.major == 17


def test_no_java_at_all_is_an_error_that_says_what_to_type(tmp_path: Path):
    old = java_home(tmp_path / "a", "1.8.0_402")

    with pytest.raises(NoJavaError, match="apt install openjdk-17-jre-headless") as refused:
        find_java({"PATH": str(old / "bin")}, cache=tmp_path / "cache")

    assert "java is 1.8.0_402" in str(refused.value)
    assert "NOVIX_KAFKA_BOOTSTRAP" in str(refused.value)
