"""`novix config`: every setting, what it is, where it came from; the example file."""

from typing import TYPE_CHECKING

from pydantic import SecretStr

from console.exits import Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded

HEADER = """\
# Every setting of Novix, with its default. Copy to .env and take away the # before what you change.
# Strongest first: the process's environment, this file, what `novix up` wrote, the default.
"""


@command
def show(as_json: AsJson = False) -> Exit:
    """Show every setting, its value (secrets hidden) and where it came from."""
    loaded, screen = settings(), Screen(as_json=as_json)
    rows = table(loaded)
    if screen.as_json:
        screen.answer(rows)
    else:
        cells = [[row["variable"], row["value"], row["source"]] for row in rows]
        screen.table("Settings", ["variable", "value", "from"], cells)
    return Exit.OK


@command
def example() -> Exit:
    """Print .env.example: every variable, what it means, its default."""
    for line in example_text().splitlines():
        Screen().line(line)
    return Exit.OK


def table(loaded: "Loaded") -> list[dict[str, str]]:
    """One row per setting: variable, value as text, source, meaning. A secret that is set shows as `(hidden)`."""
    from runtime.settings import Settings, variable

    return [
        {
            "variable": variable(field),
            "value": _text(getattr(loaded.settings, field)),
            "source": loaded.sources[field],
            "meaning": info.description or "",
        }
        for field, info in Settings.model_fields.items()
    ]


def example_text() -> str:
    """The text of `.env.example`, from the settings themselves. Pure."""
    from runtime.settings import Settings, names_of, variable

    parts = [HEADER]
    for field, info in Settings.model_fields.items():
        _, *also = names_of(field)
        other_names = f" Also: {', '.join(also)}." if also else ""
        parts.append(f"# {info.description}{other_names}\n# {variable(field)}={_text(info.default)}\n")
    return "\n".join(parts)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(hidden)" if value.get_secret_value() else ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
