"""What an outsider kept from before: a checkpoint, or its number and digest."""

from pathlib import Path

from console.audit.folder import CHECKPOINT_FILE, MOST_LINE_BYTES, read_line
from console.exits import CommandError, Exit


def read_older(path: Path) -> bytes:
    """The newest checkpoint of an older export (its folder, or its `checkpoints.jsonl`), or a file that holds one
    checkpoint alone, as it stands on the topic. What it is worth is not looked at. Raises `CommandError`."""
    path = path / CHECKPOINT_FILE if path.is_dir() else path
    newest = b""
    try:
        with path.open("rb") as file:
            while line := file.readline(MOST_LINE_BYTES):
                newest = line if line.strip() else newest
    except OSError as error:
        raise CommandError(f"--since {path} cannot be read: {type(error).__name__}", Exit.USAGE) from None
    told = read_line(newest)
    return newest.strip() if isinstance(told, str) else told[1] or b""


def kept_of(text: str | None) -> tuple[int, str] | None:
    """Number and sha256 of a checkpoint, as `novix audit verify` prints them. Raises `CommandError`."""
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(number) > 18 or len(digest) != 64:
        raise CommandError("--kept is NUMBER:SHA256, as `novix audit verify` prints them", Exit.USAGE)
    return int(number), digest.lower()
