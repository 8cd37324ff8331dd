"""Which files of a repository are looked at, and what the looks come to. Pure.

Only what was looked at to its end counts as safe: a file that is too large, of a form that nobody here reads, or that
ended the look is named, and leaves the whole `unscanned` or in `error`, never `safe`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from schemas.catalog import Issue, Level, Security
from schemas.values import frozen

MOST_FILE_BYTES = 16_777_216
MOST_BYTES = 67_108_864
"""Of all files of one repository together."""
MOST_FILES = 64
MOST_ISSUES = 100
MOST_DETAIL = 500
MOST_PATH = 256

INERT = frozenset(
    {
        ".safetensors", ".gguf", ".ggml", ".onnx", ".json", ".jsonl", ".txt", ".md", ".rst", ".yaml", ".yml", ".toml",
        ".ini", ".cfg", ".csv", ".tsv", ".parquet", ".arrow", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf",
        ".wav", ".mp3", ".flac", ".ogg", ".mp4", ".gitattributes", ".gitignore", ".jinja", ".spm", ".bpe", ".vocab",
        ".tiktoken", ".tflite", ".msgpack", ".py", ".ipynb", ".sh", ".lock", ".html",
    }
)  # fmt: skip
"""Loading these runs nothing of the repository's; a `.py` file runs only for who trusts its code, and that is
`Security.custom_code`."""
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dat", ".data", ".npy", ".npz"})
"""These are pickles, or hold some: one that cannot be read is in error."""
UNREAD = frozenset(
    {
        ".h5", ".hdf5", ".keras", ".pb", ".so", ".dll", ".dylib", ".exe", ".jar", ".mar", ".nemo", ".llamafile", ".pte",
        ".engine", ".plan", ".mlmodel",
    }
)  # fmt: skip
"""These may run something, and nobody here reads them."""
NAMED_INERT = frozenset({"license", "notice", "readme", "merges", "vocab", "makefile", "dockerfile"})
_RANK: tuple[Level, ...] = ("safe", "unscanned", "queued", "caution", "error", "suspicious", "unsafe")


@frozen
class File:
    """One file of a repository, as its listing tells it."""

    path: str
    size_bytes: int | None


@frozen
class Look:
    """What one file holds. `level`: `safe`, `suspicious` (names imports that are not known to be harmless), `unsafe`
    (names some that are known to do harm) or `error` (not read to its end)."""

    level: Level
    detail: str = ""


@frozen
class Chosen:
    """Which files are looked at, and why others that might run something are not."""

    looked_at: tuple[File, ...]
    left_out: Mapping[str, str]
    """By path."""


def suffix(path: str) -> str:
    """`.bin` of `a/pytorch_model.bin`; a dotfile is its own suffix."""
    name = path.rpartition("/")[2].lower()
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def chosen(files: Iterable[File]) -> Chosen:
    """The small ones of those that may run something, the smallest first."""
    taken, left, total = list[File](), dict[str, str](), 0
    asked = [one for one in files if not _is_inert(one.path)]
    for one in sorted(asked, key=lambda file: (file.size_bytes is None, file.size_bytes or 0, file.path)):
        size = one.size_bytes
        if suffix(one.path) in UNREAD:
            left[one.path] = "may run something, and nobody here reads such files"
        elif size is None:
            left[one.path] = "its size is not known"
        elif size > MOST_FILE_BYTES:
            left[one.path] = f"{size} bytes; {MOST_FILE_BYTES} are looked at"
        elif len(taken) == MOST_FILES:
            left[one.path] = f"{MOST_FILES} files are looked at"
        elif total + size > MOST_BYTES:
            left[one.path] = f"{MOST_BYTES} bytes of a repository are looked at"
        else:
            taken.append(one)
            total += size
    return Chosen(tuple(taken), left)


def _is_inert(path: str) -> bool:
    ending = suffix(path)
    return ending in INERT or (not ending and path.rpartition("/")[2].lower() in NAMED_INERT)


def verdict(looks: Mapping[str, Look], left_out: Mapping[str, str], *, at: datetime) -> Security:
    """What the looks come to, with the files that were not looked at as issues of their own."""
    found = [Issue(path=path[:MOST_PATH], level=one.level, detail=one.detail[:MOST_DETAIL])
             for path, one in looks.items() if one.level != "safe"]  # fmt: skip
    found += [
        Issue(path=path[:MOST_PATH], level="unscanned", detail=why[:MOST_DETAIL]) for path, why in left_out.items()
    ]
    found.sort(key=lambda issue: (-_RANK.index(issue.level), issue.path))
    worst: Level = found[0].level if found else "safe"
    done = not any(issue.level in ("unscanned", "error") for issue in found)
    return Security(scans_done=done, level=worst, issues=tuple(found[:MOST_ISSUES]), source="novix", at=at)


def unlisted(siblings: object) -> Mapping[str, str]:
    """What is not known of a repository's files, as files that are left out: it lists none, or rows that name none."""
    if not isinstance(siblings, list):
        return {"(all)": "its page does not list its files"}
    odd = len(siblings) - len(files_of(siblings))
    return {"(unnamed)": f"{odd} rows of its list of files name none"} if odd else {}


def files_of(siblings: object) -> Sequence[File]:
    """The files that a model's page lists (`siblings`, with `blobs=true`). What is no file's row is passed over, and a
    size that is none is not known."""
    found = []
    for one in siblings if isinstance(siblings, list) else []:
        path = one.get("rfilename") if isinstance(one, dict) else None
        if not isinstance(path, str) or not path:
            continue
        size = one.get("size")
        found.append(File(path, size if type(size) is int and size >= 0 else None))
    return found
