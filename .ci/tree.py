"""Looks at the tracked files: none too long to be read, none that names a machine's path or a registry's host.

Run: `make check`, or `python .ci/tree.py [FOLDER]`. Ends with 1 and one line for each fault.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

LINES_MAX = 400
READ = {".py", ".sh", ".md", ".yaml", ".yml", ".toml", ".html", ".js", ".css", ".sql", ".jinja"}
"""What people read. Data, locks, licences, generated and vendored files may be longer."""
NOT_OURS = ("docs/schemas/", "console/static/vendor/", "schemas/data/")
GROWS = {"CHANGELOG.md"}

# Written in halves, so that this file passes its own check.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w./])/" + r"(?:work|root|opt/wheels)/",
            r"(?:py" + r"pi|python" + r"hosted)\.org",
            r"repo1?\.maven(?:\.apache)?\." + r"org",
            r"registry\.npm" + r"js\.org",
            r"proxy\." + r"golang\.org",
            r"static\." + r"crates\.io",
        ]
    )
)


def tracked(root: Path) -> list[PurePosixPath]:
    """The files that git knows, and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    return [PurePosixPath(name) for name in listed.split("\0") if name and (root / name).is_file()]


def is_read(path: PurePosixPath) -> bool:
    """Whether the limit on lines holds for it."""
    ours = not str(path).startswith(NOT_OURS) and path.name not in GROWS
    return ours and (path.suffix in READ or path.name in {"Makefile", "Dockerfile", "run"})


def faults(path: PurePosixPath, text: str) -> Iterator[str]:
    """What is wrong with one file."""
    lines = text.splitlines()
    if is_read(path) and len(lines) > LINES_MAX:
        yield f"{path}: {len(lines)} lines; a file may have {LINES_MAX}"
    for number, line in enumerate(lines, 1):
        if found := FOREIGN.search(line):
            yield f"{path}:{number}: names {found[0]!r}, a path of one machine or the host of one registry"


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    found: list[str] = []
    for path in tracked(root):
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += faults(path, text)
    print(*found or ["tree: every tracked file keeps the rules"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
