"""`novix schema`: the messages of the contract as JSON Schema 2020-12."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from console.exits import Exit
from console.screen import Screen
from console.shell import AsJson, command

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@command
def show(as_json: AsJson = False) -> Exit:
    """List the messages, the topics that carry them, and the version."""
    from schemas.base import SCHEMA_VERSION
    from schemas.topics import TOPICS

    screen = Screen(as_json=as_json)
    document = [
        {"message": topic.value.__name__, "topic": topic.name, "key": topic.key, "version": SCHEMA_VERSION}
        for topic in TOPICS
        if topic.value is not None
    ]
    if screen.as_json:
        screen.answer(document)
    else:
        rows = [[str(row["message"]), str(row["topic"]), str(row["key"])] for row in document]
        screen.table(f"Messages, version {SCHEMA_VERSION}", ["message", "topic", "key"], rows)
    return Exit.OK


@command
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if need be.", file_okay=False)],
    as_json: AsJson = False,
) -> Exit:
    """Write each message's JSON Schema to FOLDER/<message>.json."""
    screen = Screen(as_json=as_json)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in json_schemas().items():
        path = folder / f"{name}.json"
        path.write_text(rendered(document), encoding="utf-8")
        written.append(str(path))
    screen.answer(written, [f"wrote {path}" for path in written])
    return Exit.OK


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of each message by its file name (`inference-job`). Pure; key order is stable."""
    from schemas.topics import TOPICS

    schemas = {}
    for topic in TOPICS:
        if topic.value is not None:
            name = _kebab(topic.value.__name__)
            body = topic.value.model_json_schema(by_alias=True, mode="validation")
            schemas[name] = {"$schema": DIALECT, "$id": f"urn:novix:schema:{name}:1", **body}
    return schemas


def rendered(document: dict[str, Any]) -> str:
    """A schema as its file has it: two spaces, a newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _kebab(name: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name).lstrip("-")
