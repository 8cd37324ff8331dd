"""`.env.example` lists every setting, and nothing else."""

import re
from pathlib import Path

from console.commands.config import example_text
from runtime.settings import Settings, names_of, resolve, variable

FILE = Path(__file__).parents[2] / ".env.example"


def test_the_example_file_is_what_the_settings_say():
    """Write it anew with: novix config example > .env.example"""
    assert FILE.read_text(encoding="utf-8") == example_text()


def test_every_variable_and_every_other_name_stands_in_the_example():
    text = FILE.read_text(encoding="utf-8")

    for field in Settings.model_fields:
        assert re.search(rf"^# {variable(field)}=", text, flags=re.MULTILINE)
        assert all(name in text for name in names_of(field))


def test_the_examples_own_values_are_allowed_and_are_the_defaults():
    pairs = dict(re.findall(r"^# (NOVIX_[A-Z0-9_]+)=(.*)$", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE))

    settings = resolve(pairs, {}, {}).settings

    assert settings.model_dump(exclude={"home", "cache"}) == resolve({}, {}, {}).settings.model_dump(
        exclude={"home", "cache"}
    )
