"""`novix schema`: the messages of the contract as JSON Schema 2020-12."""

import json
from pathlib import Path
from typing import Annotated

import typer

from console.exits import Exit
from console.screen import Screen
from console.shell import AsJson, command


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
    """Write each message's JSON Schema to FOLDER, as docs/schemas/ has them."""
    from schemas import export as contract

    screen = Screen(as_json=as_json)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in contract.documents().items():
        path = folder / contract.file_name(name)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(str(path))
    screen.answer(written, [f"wrote {path}" for path in written])
    return Exit.OK
