"""The registry: who may use what, since when; aliases; what a record that is damaged, old or of another topic does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from runtime.ports import Record
from runtime.registry import Registry, license_key, until
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import REGISTRY

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = "org/model"


class Told:
    """A registry and the records that made it; a day passes between two."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.records: list[Record] = []

    def say(self, kind: str, **event: Any) -> "Told":
        written = MARCH + timedelta(days=len(self.records))
        told = REGISTRY_EVENTS.validate_python({"kind": kind, "at": event.pop("at", written), **event})
        return self.raw(RegistryRecord(event=told).encode())

    def raw(self, value: bytes | None) -> "Told":
        at = MARCH + timedelta(days=len(self.records))
        record = Record(REGISTRY.name, 0, len(self.records), None, value, (), int(at.timestamp() * 1_000))
        self.records.append(record)
        self.registry.fold(record)
        return self

    def admit(self, model: str = MODEL, **more: Any) -> "Told":
        return self.say("admission", model=model, state="admitted", **more)

    def withdraw(self, model: str = MODEL, **more: Any) -> "Told":
        return self.say("admission", model=model, state="withdrawn", **more)

    def facts(self, level: str | None = None, **more: Any) -> "Told":
        if level is not None:
            source = more.pop("source", "hub")
            done = level not in ("unscanned", "queued")
            more["security"] = {"level": level, "scans_done": done, "source": source, **more.pop("scan", {})}
        return self.say("facts", model=MODEL, **more)

    def ok(self, tenant: str = "t", model: str = MODEL, **more: Any) -> bool:
        return self.registry.allowed(model, tenant, **more).ok

    def why(self, tenant: str = "t", **more: Any) -> str | None:
        return self.registry.allowed(MODEL, tenant, **more).reason


@pytest.fixture
def told() -> Told:
    return Told()


def test_where_nobody_has_said_anything_everything_is_allowed_and_the_version_is_0(told: Told) -> None:
    assert told.ok()
    assert told.registry.version == "0"
    assert told.registry.now().tenants == frozenset()


def test_a_withdrawal_holds_from_its_record_on_and_an_admission_takes_it_back(told: Told) -> None:
    told.withdraw(reason="leaks secrets")
    assert told.why() == "withdrawn"
    assert "leaks secrets" in told.registry.allowed(MODEL, "t").says
    assert told.ok(model="org/other")
    assert told.admit().ok()


def test_a_withdrawal_wins_over_the_other_words_whoever_it_concerns(told: Told) -> None:
    told.admit(tenant="t").withdraw()
    assert not told.ok("t"), "everybody's withdrawal beats the tenant's admission"
    told.admit().withdraw(tenant="t")
    assert not told.ok("t"), "its own beats everybody's admission"
    assert told.ok("u"), "and concerns nobody else"


def test_where_only_admitted_models_may_be_used_the_tenants_word_or_everybodys_is_enough(told: Told) -> None:
    told.say("rules", admitted_only=True)
    assert told.why() == "not_admitted"
    told.admit(tenant="t")
    assert (told.ok("t"), told.ok("u")) == (True, False)
    told.admit()
    assert told.ok("u")


def test_a_tenants_own_rules_stand_in_place_of_everybodys_and_go_when_they_are_removed(told: Told) -> None:
    told.say("rules", admitted_only=True).say("rules", tenant="t", admitted_only=False)
    assert (told.ok("t"), told.ok("u")) == (True, False)
    told.say("rules", tenant="t", removed=True)
    assert not told.ok("t")
    told.say("rules", removed=True)
    assert told.ok("t")


@pytest.mark.parametrize(
    ("license", "rules", "allowed"),
    [
        ("Apache-2.0", {"licenses": ["apache-2.0", "MIT"]}, True),
        ("CC-BY-NC-4.0", {"licenses": ["Apache-2.0"]}, False),
        (None, {"licenses": ["Apache-2.0"]}, False),
        (None, {"denied_licenses": ["AGPL-3.0-only"]}, True),
        ("AGPL-3.0-only", {"denied_licenses": ["agpl-3.0"]}, False),
        ("agpl-3.0", {"denied_licenses": ["AGPL-3.0-only"]}, False),
        ("LicenseRef-llama3.1", {"licenses": ["llama3.1"]}, True),
        ("MIT", {"licenses": ["MIT"], "denied_licenses": ["MIT"]}, False),
    ],
)
def test_a_licence_is_held_against_lists_of_spdx_ids(told: Told, license: Any, rules: Any, allowed: bool) -> None:
    told.facts(license=license).say("rules", **rules)
    assert told.ok() is allowed
    assert told.why() == (None if allowed else "license")


def test_the_catalogues_word_on_a_licence_counts_only_where_the_registry_has_none(told: Told) -> None:
    told.say("rules", licenses=["MIT"])
    assert told.ok(license="mit")
    told.facts(license="CC-BY-NC-4.0")
    assert not told.ok(license="mit")


@pytest.mark.parametrize(
    ("facts", "rules", "reason"),
    [
        ({"gated": "manual"}, {"gated": "refuse"}, "gated"),
        ({}, {"gated": "refuse"}, "gated"),
        ({"gated": "no"}, {"gated": "refuse"}, None),
        ({"gated": "auto"}, {}, None),
        ({"level": "safe", "scan": {"custom_code": True}}, {"custom_code": "refuse"}, "custom_code"),
        ({"level": "safe"}, {"custom_code": "refuse"}, "custom_code"),
        ({"level": "safe", "scan": {"custom_code": False}}, {"custom_code": "refuse"}, None),
        ({"level": "unsafe"}, {}, "security"),
        ({"level": "suspicious"}, {}, None),
        ({"level": "suspicious"}, {"worst_level": "caution"}, "security"),
        ({"level": "unsafe"}, {"worst_level": "any"}, None),
        ({"level": "unscanned"}, {"worst_level": "safe"}, "security"),
        ({"level": "queued"}, {"worst_level": "safe"}, "security"),
        ({"level": "error"}, {"worst_level": "safe"}, "security"),
        ({"level": "safe", "scan": {"scans_done": False}}, {"worst_level": "safe"}, "security"),
        ({"level": "unsafe", "scan": {"scans_done": False}}, {}, "security"),
        ({}, {"worst_level": "safe"}, "security"),
        ({"level": "safe"}, {"worst_level": "safe"}, None),
    ],
)
def test_what_is_found_against_a_model_refuses_it_and_unknown_is_never_good_enough(
    told: Told, facts: dict[str, Any], rules: dict[str, Any], reason: str | None
) -> None:
    told.facts(**facts).say("rules", **rules)
    assert told.why() == reason


def test_an_admission_lets_through_what_it_takes_on_and_nothing_else(told: Told) -> None:
    told.say("rules", gated="refuse", licenses=["MIT"]).facts("unsafe", gated="auto", license="MIT")
    assert told.admit(accepts=["security"]).why() == "gated"
    assert told.admit(accepts=["gated"]).why() == "security"
    assert told.admit(accepts=["gated", "security"]).ok()
    assert told.withdraw().why() == "withdrawn"


def test_both_scanners_are_heard_and_the_worse_one_counts(told: Told) -> None:
    told.facts("safe", license="MIT").facts("unsafe", source="novix")
    assert told.why() == "security"
    assert told.registry.now().known[MODEL].license == "MIT", "a look of ours says nothing of the licence"
    told.facts("safe", license="MIT")
    assert told.why() == "security", "the Hub's next word takes nothing back of ours"
    told.facts("safe", source="novix")
    assert told.ok()


def test_a_commit_that_moved_is_told_and_refused_where_the_rules_say_so(told: Told) -> None:
    told.facts(revision="aaa").admit(revision="aaa")
    assert "its main branch is at" not in told.registry.allowed(MODEL, "t").says
    told.facts(revision="bbb")
    verdict = told.registry.allowed(MODEL, "t")
    assert verdict.ok
    assert "its main branch is at bbb now" in verdict.says
    told.say("rules", moved="refuse")
    assert told.why() == "moved"
    assert told.ok(revision="aaa"), "who knows that the admitted commit runs need not ask where the branch is"


def test_an_alias_counts_its_own_versions_and_goes_back_with_one_event(told: Told) -> None:
    first, second = [[MODEL, "c0ffee"]], [["org/new", None]]
    told.say("alias", alias="fast", targets=first).say("alias", alias="fast", targets=second, version=1)
    assert told.registry.now().aliases["fast"].version == 2, "whatever its writer thought"
    told.say("alias", alias="fast", targets=first)
    fast = told.registry.now().aliases["fast"]
    assert (fast.version, fast.targets) == (3, ((MODEL, "c0ffee"),))
    told.say("alias", alias="auto", targets=second)
    assert "auto" not in told.registry.now().aliases
    assert len(told.registry.faults) == 1


def test_what_was_allowed_on_a_day_is_the_fold_of_what_had_been_written_by_then(told: Told) -> None:
    """B202. The third record is dated back to a time before the first: it changes no past."""
    told.admit().withdraw().say("admission", model=MODEL, state="admitted", at=MARCH - timedelta(days=9))

    def then(days: float) -> Registry:
        return Registry.of(until(told.records, MARCH + timedelta(days=days)))

    assert (then(-1).version, then(0).version, then(0.5).version, then(9).version) == ("0", "1", "1", "3")
    assert [then(days).allowed(MODEL, "t").reason for days in (0, 1, 1.9, 2)] == [None, "withdrawn", "withdrawn", None]


def test_a_clock_that_ran_ahead_hides_no_record_that_was_written_after_it(told: Told) -> None:
    told.admit().withdraw()
    ahead = told.records[0]
    records = [
        Record(ahead.topic, 0, 0, None, ahead.value, (), ahead.timestamp_ms + 10**12),
        told.records[1],
    ]
    assert [one.offset for one in until(records, MARCH + timedelta(days=1))] == [0, 1]
    assert until(records, MARCH) == ()


@pytest.mark.parametrize(
    "value",
    [
        b"", b"no json", b"[]", b"{}", b'{"event": {"kind": "admission"}}', b"\xff\xfe",
        b'{"event": {"kind": "admission", "at": "2026-03-01T00:00:00Z", "model": "a\\u001b[2J", "state": "admitted"}}',
        b'{"event": {"kind": "alias", "at": "2026-03-01T00:00:00Z", "alias": "a/b", "targets": []}}',
        b'{"event": {"kind": "rules", "at": "2026-03-01T00:00:00Z", "tenant": "a b"}}',
        b'{"event": {"kind": "other", "at": "2026-03-01T00:00:00Z"}}',
    ],
)  # fmt: skip
def test_a_bad_record_moves_the_version_and_changes_nothing_else(told: Told, value: bytes) -> None:
    told.withdraw().raw(value)
    assert told.registry.version == "2"
    assert told.why() == "withdrawn"
    assert [one.offset for one in told.registry.faults] == [1]
    assert "[2J" not in told.registry.faults[0].reason


def test_a_record_without_a_value_moves_the_version_alone(told: Told) -> None:
    told.withdraw().raw(None)
    assert (told.registry.version, told.why(), len(told.registry.faults)) == ("2", "withdrawn", 0)


def test_a_record_that_is_read_again_changes_nothing_and_one_that_differs_says_that_the_topic_is_another(
    told: Told,
) -> None:
    told.withdraw().admit()
    for record in told.records:
        told.registry.fold(record)
    assert told.ok()
    assert told.registry.other == ""

    other = Told().admit("org/else").records[0]
    told.registry.fold(other)
    assert "offset 0" in told.registry.other
    assert (told.registry.version, told.ok()) == ("2", True), "what was known stays known"


def test_a_standing_that_somebody_holds_is_not_changed_by_what_is_told_later(told: Told) -> None:
    before = told.admit().registry.now()
    told.withdraw()
    assert before.allowed(MODEL, "t").ok
    assert before.version == "1"


@pytest.mark.parametrize("name", ["GPL-3.0", "gpl-3.0-only", "LicenseRef-GPL-3.0", " GPL_3.0 License "])
def test_older_ids_of_the_gnu_licences_are_the_newer_ones(name: str) -> None:
    assert license_key(name) == "gpl-3.0-only"
    assert license_key("GPL-3.0-or-later") == license_key("gpl-3.0+") != "gpl-3.0-only"


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "admission", "model": "", "state": "admitted"},
        {"kind": "admission", "model": "a\x1b[31m/b", "state": "admitted"},
        {"kind": "admission", "model": "m" * 257, "state": "admitted"},
        {"kind": "admission", "model": "a/b", "state": "admitted", "revision": "../../etc"},
        {"kind": "admission", "model": "a/b", "state": "admitted", "accepts": ["everything"]},
        {"kind": "admission", "model": "a/b", "state": "maybe"},
        {"kind": "alias", "alias": "x" * 65, "targets": []},
        {"kind": "alias", "alias": "fast", "targets": [["a/b", None]] * 17},
    ],
)
def test_names_that_are_hostile_or_too_long_are_no_event(event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        REGISTRY_EVENTS.validate_python({"at": MARCH, **event})


def test_whoever_has_read_less_than_was_decided_from_or_another_topic_is_behind() -> None:
    registry = Registry()
    assert registry.behind(0) == ""
    assert registry.behind(1) == "version 1 was decided from, and 0 is known here"
    registry.fold(Record(REGISTRY.name, 0, 0, None, b"{", (), 0))
    assert registry.behind(1) == ""
    registry.fold(Record(REGISTRY.name, 0, 0, None, b"another", (), 0))
    assert "another record" in registry.behind(0)
