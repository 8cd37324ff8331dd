"""What a repository of the sandbox's Hub has in it: files, the scanners' word of them, its card. Pure."""

import hashlib
from typing import Any

from sandbox.hf.catalogue import Catalogue
from sandbox.hf.hub_pickles import files
from sandbox.hf.hub_rows import card

Row = dict[str, Any]


def listed_files(row: Row) -> list[dict[str, Any]]:
    """`GET /api/models/{id}/tree/{revision}`: type, path, size and blob of each file."""
    names = [(".gitattributes", 1_519), ("README.md", 2_048), ("config.json", 684)]
    kept = files().get(str(row.get("id")))
    tags, size = _tags(row), row.get("usedStorage")
    size = size if isinstance(size, int) else 0
    if "safetensors" in tags:
        names.append(("model.safetensors", size))
    if "gguf" in tags:
        names.append(("model.Q4_K_M.gguf", size))
    if kept is not None:
        names += [(path, len(data)) for path, data in kept.items()]
    elif "pytorch" in tags:
        names.append(("pytorch_model.bin", size))
    if "custom_code" in tags:
        names.append(("modeling_custom.py", 9_100))
    return [
        {"type": "file", "oid": _digest(f"{row.get('id')}/{name}")[:40], "size": count, "path": name}
        for name, count in names
    ]


def scan(row: Row) -> dict[str, Any]:
    """What the scanners say: of pickles one in twenty is unsafe, one in ten suspicious; some are not looked at yet. A
    row that has `securityRepoStatus` itself tells that."""
    told = row.get("securityRepoStatus")
    if told is not None:
        return told  # type: ignore[no-any-return]
    draw = int(_digest(str(row.get("id")))[:8], 16)
    if draw % 40 == 0:
        return {"scansDone": False, "filesWithIssues": []}
    issues, tags = [], _tags(row)
    if "pytorch" in tags and "safetensors" not in tags:
        level = "unsafe" if draw % 20 == 1 else "suspicious" if draw % 10 == 2 else None
        if level:
            issues.append({"path": "pytorch_model.bin", "level": level})
    return {"scansDone": True, "filesWithIssues": issues}


def readme(row: Row, models: Catalogue) -> str:
    """The card. Of a model that the sandbox serves, what its catalogue says of it; a row that has `readme` tells
    that."""
    told = row.get("readme")
    if isinstance(told, str):
        return told
    model = models.find(str(row.get("id")))
    if model is not None:
        name = model.id.rpartition("/")[2]
        return f"---\nlicense: {model.licence}\n---\n# {name}\n\n{model.about}\n\n## Intended use\n\n- this sandbox\n"
    return card({"author": str(row.get("id", "")).partition("/")[0], **row})


def _tags(row: Row) -> list[Any]:
    told = row.get("tags")
    return told if isinstance(told, list) else []


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
