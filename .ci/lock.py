"""Writes `requirements.lock`: every wheel that `make install` may put into the environment, by hash. Run: `make lock`.

uv resolves `pyproject.toml` with all its extras for one platform; we keep its choice in the form that every pip
reads. Addresses are dropped: pip takes the files from whatever index the machine is set to, and the hashes decide.
"""

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PLATFORM = "x86_64-manylinux_2_28"
PYTHON = "3.11"
PARTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("novix", (), "what runs in production"),
    ("hub", ("hub",), "the Model Hub: index, ranking, evaluation; in production too"),
    ("build", ("hub", "build"), "the build backend"),
    ("sandbox", ("hub", "build", "sandbox"), "the world in one machine: models and their runtimes"),
    ("test", ("hub", "build", "sandbox", "test"), "what the tests need"),
    ("dev", ("hub", "build", "sandbox", "test", "dev"), "the checks"),
)
"""Part of the lock, the extras that it and the parts above stand for, its meaning. The image is given the first two."""

HEADER = f"""\
# Every package that `make install` puts into .venv, with the sha256 of the wheels that may be used.
# For Linux x86-64 (glibc 2.28 or newer) and CPython {PYTHON}; elsewhere `make install` resolves pyproject.toml.
# Written by `make lock`; do not edit.
"""


def resolved(project: Path, extras: Iterable[str], constraint: str = "") -> list[dict[str, Any]]:
    """The packages that uv chooses for `project`, as PEP 751 describes them."""
    with tempfile.TemporaryDirectory() as scratch:
        out, bound = Path(scratch) / "pylock.toml", Path(scratch) / "constraint.txt"
        bound.write_text(constraint)
        ask = [sys.executable, "-m", "uv", "pip", "compile", str(project), "--quiet", "--format", "pylock.toml"]
        ask += ["--python-version", PYTHON, "--python-platform", PLATFORM, "--only-binary", ":all:"]
        ask += ["--constraint", str(bound), "-o", str(out), *(f"--extra={extra}" for extra in extras)]
        subprocess.run(ask, check=True, stdout=subprocess.DEVNULL)
        packages: list[dict[str, Any]] = tomllib.loads(out.read_text())["packages"]
    return packages


def size(package: Mapping[str, Any]) -> int:
    """Bytes of the largest wheel that pip may take."""
    return max(int(wheel["size"]) for wheel in package["wheels"])


def pin(package: Mapping[str, Any]) -> str:
    """One package in pip's requirements form, hashes in order, so that the file changes only when a wheel does."""
    hashes = sorted(wheel["hashes"]["sha256"] for wheel in package["wheels"])
    return " \\\n    --hash=sha256:".join([f"{package['name']}=={package['version']}", *hashes]) + "\n"


def lock(project: Path) -> str:
    """The text of the lock: one part below the other, each package in the first part that needs it."""
    *_, (_, everything, _) = PARTS
    packages = {package["name"]: package for package in resolved(project, everything)}
    bound = "".join(f"{name}=={package['version']}\n" for name, package in packages.items())
    left = dict(packages)
    lines = [HEADER, f"# bytes: {sum(map(size, packages.values()))}\n"]
    for part, extras, meaning in PARTS:
        names = sorted({package["name"] for package in resolved(project, extras, bound)} & left.keys())
        mine = [left.pop(name) for name in names]
        lines.append(f"\n# part: {part} ({meaning}; {len(mine)} packages, {sum(map(size, mine)) / 1e6:.0f} MB)\n")
        lines += map(pin, mine)
    if left:
        raise SystemExit(f"lock: no part needs {', '.join(sorted(left))}")
    return "".join(lines)


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    text = lock(root / "pyproject.toml")
    (root / "requirements.lock").write_text(text)
    print(f"requirements.lock: {text.count('==')} packages")


if __name__ == "__main__":
    main()
