"""Ways round the registry: other capitals, names of before, names on the wire, and readings that say less."""

from typing import Any

import pytest
from past_world import PastWorld
from rulings import catalogue_of, offer

from runtime.ports import Record
from runtime.registry import Registry, on_the_wire
from schemas.failure import FailureKind
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import REGISTRY

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
AT = "2026-03-01T00:00:00Z"


def registry_of(*events: dict[str, Any]) -> Registry:
    made = Registry()
    for offset, event in enumerate(events):
        value = RegistryRecord(event=REGISTRY_EVENTS.validate_python({"at": AT, **event})).encode()
        made.fold(Record(REGISTRY.name, 0, offset, None, value, (), offset))
    return made


def withdrawn(model: str, **more: Any) -> dict[str, Any]:
    return {"kind": "admission", "state": "withdrawn", "model": model, **more}


def admitted(model: str, **more: Any) -> dict[str, Any]:
    return {"kind": "admission", "state": "admitted", "model": model, **more}


def facts(model: str, level: str | None = None, source: str = "hub", **more: Any) -> dict[str, Any]:
    told = {} if level is None else {"security": {"level": level, "scans_done": True, "source": source}}
    return {"kind": "facts", "model": model, **told, **more}


@pytest.mark.parametrize("said", ["Org/Model", "org/model", "ORG/MODEL", " org/Model "])
def test_a_word_holds_for_a_model_however_its_capitals_are_written(said: str) -> None:
    """The Hub leads from one way of writing to the other: nobody gets past a withdrawal with the shift key."""
    told = registry_of(withdrawn(said))
    assert told.allowed("Org/Model", "t").reason == "withdrawn"
    assert told.withdrawn("oRG/mODEL", "t")
    assert registry_of(withdrawn("Org/Model"), admitted(said)).allowed("org/model", "t").ok, (
        "it is one word, the newest"
    )
    assert registry_of(facts(said, "unsafe")).allowed("org/model", "t").reason == "security"


def test_a_model_that_was_renamed_is_withdrawn_under_all_its_names() -> None:
    renamed = facts("new/name", formerly=["old/name", "older/name"])
    for word in ("new/name", "old/name", "Older/Name"):
        told = registry_of(renamed, withdrawn(word, tenant="t"))
        for asked in ("new/name", "old/name", "older/name"):
            assert told.allowed(asked, "t").reason == "withdrawn"
            assert told.withdrawn(asked, "t")
            assert told.allowed(asked, "u").ok
    later = registry_of(renamed, facts("new/name", license="MIT"), withdrawn("new/name"))
    assert not later.allowed("old/name", "t").ok, "a reading without names takes none back"
    assert registry_of(renamed, facts("other/name"), withdrawn("new/name")).allowed("other/name", "t").ok


def test_an_admission_of_one_name_is_none_of_another() -> None:
    """A name that was given up may be taken by somebody else."""
    told = registry_of(
        facts("new/name", formerly=["old/name"]), {"kind": "rules", "admitted_only": True}, admitted("old/name")
    )
    assert told.allowed("old/name", "t").ok
    assert told.allowed("new/name", "t").reason == "not_admitted"


def test_what_is_known_of_a_model_counts_under_its_former_name() -> None:
    told = registry_of(facts("new/name", "unsafe", license="MIT", formerly=["old/name"]))
    assert told.allowed("old/name", "t").reason == "security"


def test_a_reading_that_says_nothing_of_scans_takes_back_no_finding() -> None:
    told = registry_of(facts("org/a", "unsafe", revision="one"), facts("org/a", revision="two"))
    assert told.allowed("org/a", "t").reason == "security"
    safe = {"kind": "rules", "worst_level": "safe"}
    assert (
        registry_of(safe, facts("org/a", "safe", revision="one"), facts("org/a", revision="one"))
        .allowed("org/a", "t")
        .ok
    )
    moved = registry_of(safe, facts("org/a", "safe", revision="one"), facts("org/a", revision="two"))
    assert moved.allowed("org/a", "t").reason == "security", "of this commit nobody has said that it is clean"


def test_novixs_own_look_says_that_a_commit_is_clean_and_not_the_next_one() -> None:
    safe = {"kind": "rules", "worst_level": "safe"}
    looked = facts("org/a", "safe", source="novix", revision="one")
    assert registry_of(safe, facts("org/a", revision="one"), looked).allowed("org/a", "t").ok
    assert registry_of(safe, looked, facts("org/a", revision="two")).allowed("org/a", "t").reason == "security"
    found = facts("org/a", "unsafe", source="novix", revision="one")
    assert registry_of(found, facts("org/a", "safe", revision="two")).allowed("org/a", "t").reason == "security"


def test_the_hubs_name_stands_before_a_colon_where_there_is_an_owner() -> None:
    assert on_the_wire("org/a", "org/b:groq") == "org/b"
    assert on_the_wire("org/a", "Org/A:groq") == ""
    assert on_the_wire("org/a", "") == ""
    assert on_the_wire("llama", "llama3:8b") == "llama3:8b"


def test_a_row_that_calls_a_withdrawn_model_by_a_name_of_its_own_is_refused() -> None:
    rows = [offer("mine/assistant", "acme", 10**8, provider_model="org/bad:acme"), offer("org/good", "acme", 2 * 10**8)]
    world = PastWorld(catalogue_of(*rows), hf_router_url="http://127.0.0.1:1", sandbox_url="")
    job = {"task": "chat-completion", "input": CHAT}
    _, before, _ = world.decide({"id": "1", **job})
    assert {one.model for one in before.candidates} == {"mine/assistant", "org/good"}
    world.registry(kind="admission", model="Org/Bad", state="withdrawn")
    _, after, _ = world.decide({"id": "2", **job})
    assert [one.model for one in after.candidates] == ["org/good"]
    _, named, _ = world.decide({"id": "3", "model": "mine/assistant", **job})
    assert named.kind == FailureKind.NOT_APPROVED
    assert "org/bad was withdrawn" in (named.message or "")
    again = world.replayed()
    assert again.decisions == again.same == 3
