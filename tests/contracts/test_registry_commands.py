"""`novix registry` and `novix alias`: who said what, since when; what was allowed on a day; versions, and back."""

import json
from datetime import UTC, datetime

import pytest

from runtime.ports import Outgoing
from schemas.accounts import AccountRecord, Tenant
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import BUDGETS, REGISTRY

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
NOT_MET, USAGE = 3, 2


def events(log):
    rows = log.records.get((REGISTRY.name, 0), [])
    return [RegistryRecord.model_validate_json(one.value).event for one in rows]


def say(log, day: int, **event):
    at = datetime(2026, 3, day, 12, tzinfo=UTC)
    told = REGISTRY_EVENTS.validate_python({"at": at, **event})
    value = RegistryRecord(event=told).encode()
    log.append(Outgoing(REGISTRY.name, b"k", value, (), 0, int(at.timestamp() * 1_000)))


def answer(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_withdrawal_is_one_event_that_says_who_wrote_it_and_refuses_from_then_on(novix, log):
    told = answer(novix("registry", "withdraw", MODEL, "--reason", "leaks", "--approver", "anna", "--json"))
    assert (told["allowed"], told["registry_version"], told["approvers_checked"]) == (False, 1, False)
    [event] = events(log)
    assert (event.state, event.approvers, event.reason) == ("withdrawn", ("anna",), "leaks")
    assert event.by.startswith("novix registry withdraw by ")
    done = novix("registry", "allowed", MODEL)
    assert done.exit_code == NOT_MET
    assert "withdrawn for everybody" in done.stdout
    assert answer(novix("registry", "admit", MODEL, "--json"))["allowed"] is True


def test_names_of_approvers_are_shown_as_nobody_checked_them(novix, log):
    done = novix("registry", "admit", MODEL, "--approver", "the \x1b[31mboss")
    assert "nobody has checked them" in done.stdout
    assert "\x1b" not in done.stdout
    assert "nobody has checked them" in novix("registry", "show").stdout


def test_what_was_allowed_on_a_day_in_march_is_a_query(novix, log):
    """B202."""
    say(log, 2, kind="admission", model=MODEL, state="withdrawn")
    say(log, 4, kind="admission", model=MODEL, state="admitted")
    days = {day: novix("registry", "allowed", MODEL, "--at", f"2026-03-0{day}").exit_code for day in (1, 3, 5)}
    assert days == {1: 0, 3: NOT_MET, 5: 0}
    told = answer(novix("registry", "allowed", "--at", "2026-03-03", "--json"))
    assert [one["model"] for one in told["models"] if not one["allowed"]] == [MODEL]
    assert len(told["models"]) > 10, "all that the catalogue offers"
    assert told["registry_version"] == 1


def test_the_tenants_own_record_counts_too_as_it_stood_then(novix, log):
    at = datetime(2026, 3, 2, tzinfo=UTC)
    record = AccountRecord(event=Tenant(at=at, tenant="acme", models=("org/other",)))
    log.append(Outgoing(BUDGETS.name, b"k", record.encode(), (), 0, int(at.timestamp() * 1_000)))
    [now] = json.loads(novix("registry", "allowed", MODEL, "--tenant", "acme", "--json").stdout)["models"]
    assert (now["allowed"], now["decided_by"]) == (False, "tenant")
    assert novix("registry", "allowed", MODEL, "--tenant", "acme", "--at", "2026-03-01").exit_code == 0


def test_a_finding_stops_an_admission_until_somebody_takes_it_on(novix, log):
    """B207: the verdict gates admission."""
    say(log, 1, kind="facts", model=MODEL, security={"level": "unsafe", "scans_done": True})
    refused = novix("registry", "admit", MODEL)
    assert refused.exit_code == NOT_MET
    assert "--accept security" in refused.stderr
    assert len(events(log)) == 1, "nothing was written"
    assert answer(novix("registry", "admit", MODEL, "--accept", "security", "--json"))["allowed"] is True


def test_rules_are_changed_field_by_field_and_licences_become_spdx_ids(novix, log):
    """B205."""
    answer(novix("registry", "rules", "--tenant", "acme", "--licences", "apache-2.0,llama3.1", "--json"))
    told = answer(novix("registry", "rules", "--tenant", "acme", "--gated", "refuse", "--json"))
    assert told["licenses"] == ["Apache-2.0", "LicenseRef-llama3.1"]
    assert (told["gated"], told["own"], told["worst_level"]) == ("refuse", True, "suspicious")
    assert len(events(log)) == 2
    assert answer(novix("registry", "rules", "--tenant", "acme", "--json"))["registry_version"] == 2, "shown alone"
    assert len(events(log)) == 2
    answer(novix("registry", "rules", "--tenant", "acme", "--remove", "--json"))
    assert novix("registry", "rules", "--tenant", "acme", "--remove").exit_code == NOT_MET


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["registry", "withdraw", "a\x1b[2Jb"], "model"),
        (["registry", "withdraw", "m" * 300], "model"),
        (["registry", "admit", "a/b", "--tenant", "a b"], "tenant"),
        (["registry", "admit", "a/b", "--revision", "../x"], "revision"),
        (["registry", "admit", "a/b", "--accept", "everything"], "accepts"),
        (["registry", "rules", "--worst", "fine"], "worst_level"),
        (["registry", "rules", "--licences", "mit or gpl"], "licence"),
        (["registry", "allowed", "--at", "March"], "--at"),
        (["alias", "set", "a/b", MODEL], "alias"),
        (["alias", "set", "auto", MODEL], "auto"),
        (["alias", "set", "x" * 65, MODEL], "alias"),
        (["alias", "set", "fast", f"{MODEL}@../x"], "targets"),
        (["alias", "set", "fast", ""], "targets"),
    ],
)
def test_hostile_and_impossible_values_are_refused_by_name_and_nothing_is_written(novix, log, arguments, names):
    done = novix(*arguments)
    assert done.exit_code == USAGE, done.output
    assert names in done.stderr
    assert "\x1b" not in done.stderr
    assert not events(log)


def test_an_alias_has_versions_and_going_back_is_one_event(novix, log):
    """B201."""
    first = answer(novix("alias", "set", "fast", f"{MODEL}@c0ffee", "--json"))
    assert first["targets"] == [{"model": MODEL, "revision": "c0ffee"}]
    answer(novix("alias", "set", "fast", "openai/gpt-oss-120b", "--json"))
    back = answer(novix("alias", "rollback", "fast", "--json"))
    assert (back["version"], back["as_version"], back["targets"]) == (3, 1, first["targets"])
    assert len(events(log)) == 3
    told = answer(novix("alias", "history", "fast", "--json"))
    assert [one["version"] for one in told] == [1, 2, 3]
    assert novix("alias", "rollback", "fast", "--to", "9").exit_code == NOT_MET
    assert novix("alias", "rollback", "slow").exit_code == NOT_MET
    answer(novix("alias", "remove", "fast", "--json"))
    assert novix("alias", "remove", "fast").exit_code == NOT_MET
    listed = answer(novix("alias", "list", "--json"))
    assert "fast" not in {one["alias"] for one in listed}
    assert {one["from"] for one in listed} == {"catalogue"}


def test_a_pinned_commit_is_told_to_bind_no_provider_and_an_unknown_model_has_names_near_it(novix, log):
    done = novix("alias", "set", "fast", "meta-llama/Llama-3.1-8B-Instrukt@abc")
    assert done.exit_code == 0
    assert "serves the commit that it has" in done.stderr
    assert f"near it: {MODEL}" in done.stderr


def test_a_pin_that_the_main_branch_has_left_is_told(novix, log):
    novix("alias", "set", "fast", f"{MODEL}@c0ffee")
    assert "main branch" not in novix("alias", "list").stderr
    say(log, 1, kind="facts", model=MODEL, revision="decade")
    assert f"{MODEL}@c0ffee; its main branch is at decade" in novix("alias", "list").stderr


def test_a_models_own_name_is_no_alias(novix, log, tmp_path):
    offers = [
        {"provider": "acme", "provider_model": "gpt2", "dialect": "hf-router", "base": "huggingface",
         "tasks": ["chat-completion"], "max_in_flight": 1, "price": None}
    ]  # fmt: skip
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"origin": "t", "models": [{"model": "gpt2", "tier": None, "offers": offers}]}))
    done = novix("alias", "set", "gpt2", MODEL, NOVIX_CATALOGUE=str(path))
    assert done.exit_code == USAGE
    assert "its own name" in done.stderr


def test_a_name_that_the_catalogue_does_not_have_is_told_with_those_near_it_and_capitals_make_no_other(novix, log):
    done = novix("registry", "withdraw", "meta-llama/Llama-3.1-8B-Instrukt")
    assert done.exit_code == 0
    assert "the catalogue has no model" in done.output
    assert MODEL in done.output
    done = novix("registry", "withdraw", MODEL.upper())
    assert "the catalogue has no model" not in done.output
    assert novix("registry", "allowed", MODEL).exit_code == NOT_MET


def test_a_blank_name_is_no_model(novix, log):
    for name in ("", "  ", "\t"):
        done = novix("registry", "withdraw", name)
        assert done.exit_code == USAGE, done.output
    assert events(log) == []


def test_capitals_do_not_hide_the_licence_that_the_catalogue_names(novix, log):
    novix("registry", "rules", "--deny", "llama3.1")
    for name in (MODEL, MODEL.upper()):
        assert novix("registry", "allowed", name).exit_code == NOT_MET
        assert novix("registry", "admit", name).exit_code == NOT_MET
