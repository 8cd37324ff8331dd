"""Governance at dispatch: what the registry forbids is offered to no job, fallbacks included, and the decision says so;
aliases stand for what they are pinned to; and all of it is decided again from the histories."""

from typing import Any

import pytest
from past_world import PastWorld
from rulings import LARGE, catalogue_of, offer

from router.governance import near, unknown_defaults
from router.history import History, NotReplayable, Told
from router.words import told
from runtime.registry import Registry
from schemas import codec
from schemas.failure import FailureKind
from schemas.topics import BUDGETS, DECISIONS, OFFERS, POLICIES, PRICES, REGISTRY

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
A, B, C = "org/a", "org/b", "org/c"


@pytest.fixture
def world() -> PastWorld:
    rows = [
        offer(A, "acme", 10**8, licence="mit"),
        offer(B, "acme", 2 * 10**8, licence="cc-by-nc-4.0"),
        offer(C, "acme", 3 * 10**8, licence=None),
    ]
    return PastWorld(catalogue_of(*rows), hf_router_url="http://127.0.0.1:1", sandbox_url="")


def asked(name: str = "j", **more: Any) -> dict[str, Any]:
    return {"id": name, "task": "chat-completion", "input": CHAT, **more}


def models(ruling: Any) -> list[str]:
    return [one.model for one in ruling.candidates]


def stored(world: PastWorld) -> list[dict[str, Any]]:
    records = [one for (topic, _), rows in world.records.items() if topic == DECISIONS.name for one in rows]
    return [decision for record in records for decision in codec.decode(record.value or b"")["decisions"]]


def told_again(world: PastWorld) -> tuple[int, int]:
    again = world.replayed()
    return again.decisions, again.same


def test_a_withdrawn_model_is_no_candidate_and_no_fallback_from_then_on(world: PastWorld) -> None:
    assert set(models(world.decide(asked("1"))[1])) == {A, B, C}
    world.registry(kind="admission", model=B, state="withdrawn", reason="recalled")
    _, ruling, fact = world.decide(asked("2"))
    assert set(models(ruling)) == {A, C}
    [left] = [one for one in ruling.exclusions if one.model == B]
    assert (left.reason, "withdrawn for everybody" in left.detail) == (FailureKind.NOT_APPROVED, True)
    assert fact is not None
    assert fact.document["versions"]["registry"] == "1"
    _, named, _ = world.decide(asked("3", model=B))
    assert (named.verdict, named.kind) == ("rejected", FailureKind.NOT_APPROVED)
    assert "recalled" in (named.message or "")
    assert told_again(world) == (3, 3)


def test_a_model_that_is_withdrawn_by_its_providers_name_is_no_candidate_under_a_name_of_ones_own() -> None:
    world = PastWorld(
        catalogue_of(offer("mine/own", provider_model="org/gone"), offer(C)), hf_router_url="http://127.0.0.1:1",
        sandbox_url="",
    )  # fmt: skip
    world.registry(kind="admission", model="org/gone", state="withdrawn")

    _, ruling, _ = world.decide(asked("1"))

    assert models(ruling) == [C]
    assert [one.reason for one in ruling.exclusions if one.model == "mine/own"] == [FailureKind.NOT_APPROVED]


def test_a_licence_policy_binds_its_tenant_alone(world: PastWorld) -> None:
    """B205."""
    world.registry(kind="rules", tenant="strict", licenses=["MIT"])
    assert models(world.decide(asked("1", tenant="strict"))[1]) == [A], "an unknown licence is none of a list"
    assert len(models(world.decide(asked("2", tenant="easy"))[1])) == 3
    _, ruling, _ = world.decide(asked("3", tenant="strict", model=B))
    assert ruling.kind == FailureKind.LICENCE_REFUSED
    assert told_again(world) == (3, 3)


def test_the_registry_and_the_tenants_own_record_must_both_allow(world: PastWorld) -> None:
    world.account(kind="tenant", tenant="t", models=[A, B])
    world.registry(kind="rules", admitted_only=True)
    world.registry(kind="admission", model=B, state="admitted")
    world.registry(kind="admission", model=C, state="admitted")
    assert models(world.decide(asked("1", tenant="t"))[1]) == [B]
    assert set(models(world.decide(asked("2", tenant="u"))[1])) == {B, C}
    assert told_again(world) == (2, 2)


def test_a_model_that_a_scanner_calls_unsafe_is_refused_where_nobody_has_said_anything(world: PastWorld) -> None:
    """B207."""
    world.registry(kind="facts", model=A, security={"level": "unsafe", "scans_done": True, "source": "novix"})
    _, ruling, _ = world.decide(asked("1"))
    assert A not in models(ruling)
    assert any("calls it unsafe" in one.detail for one in ruling.exclusions)


def test_an_alias_is_resolved_when_its_job_is_decided_and_the_decision_says_how(world: PastWorld) -> None:
    """A5, B201: going back is one event."""
    world.registry(kind="alias", alias="zephyr", targets=[[A, "c0ffee"]])
    world.registry(kind="alias", alias="zephyr", targets=[[B, None]])
    _, ruling, fact = world.decide(asked("1", model="zephyr"))
    assert models(ruling) == [B]
    world.registry(kind="alias", alias="zephyr", targets=[[A, "c0ffee"]])
    _, ruling, fact = world.decide(asked("2", model="zephyr"))
    assert models(ruling) == [A]
    assert fact is not None
    resolved = stored(world)[-1]["resolved"]
    assert resolved == {"alias": "zephyr", "version": 3, "model": A, "revision": "c0ffee", "moved_to": None}
    assert told_again(world) == (2, 2)


def test_a_model_that_left_the_commit_that_its_alias_is_pinned_to_is_told(world: PastWorld) -> None:
    world.registry(kind="alias", alias="fast", targets=[[A, "c0ffee"]])
    world.registry(kind="alias", alias="free", targets=[[A, None]])
    for revision, moved in (("c0ffee", None), ("decade", "decade")):
        world.registry(kind="facts", model=A, revision=revision)
        for name, expected in (("fast", moved), ("free", None)):
            world.decide(asked(f"{revision}-{name}", model=name))
            assert stored(world)[-1]["resolved"]["moved_to"] == expected
    assert "its main branch was at decade by then" in " ".join(told(stored(world)[-2]))
    assert told_again(world) == (4, 4)


def test_an_alias_takes_the_first_of_its_models_that_the_tenant_may_have(world: PastWorld) -> None:
    world.registry(kind="alias", alias="fast", targets=[["org/gone", None], [A, "aa"], [B, "bb"]])
    assert models(world.decide(asked("1", model="fast"))[1]) == [A]
    world.registry(kind="admission", model=A, tenant="t", state="withdrawn")
    assert models(world.decide(asked("2", model="fast", tenant="t"))[1]) == [B]
    assert models(world.decide(asked("3", model="fast", tenant="u"))[1]) == [A]
    world.registry(kind="admission", model=A, state="withdrawn")
    world.registry(kind="admission", model=B, state="withdrawn")
    _, ruling, _ = world.decide(asked("4", model="fast"))
    assert (ruling.verdict, ruling.kind) == ("rejected", FailureKind.NOT_APPROVED)
    assert ruling.resolved is not None, "a refusal says as well what the name stood for"
    assert told_again(world) == (4, 4)


def test_an_alias_of_models_that_nobody_offers_is_refused_by_name(world: PastWorld) -> None:
    world.registry(kind="alias", alias="fast", targets=[["org/gone", None]])
    _, ruling, _ = world.decide(asked("1", model="fast"))
    assert ruling.kind == FailureKind.UNKNOWN_MODEL
    assert "alias 'fast'" in (ruling.message or "")


def test_no_alias_takes_the_place_of_a_models_own_name() -> None:
    world = PastWorld(catalogue_of(offer("gpt2"), offer(C)), hf_router_url="http://127.0.0.1:1", sandbox_url="")
    world.registry(kind="alias", alias="gpt2", targets=[[C, None]])
    _, ruling, fact = world.decide(asked("1", model="gpt2"))
    assert models(ruling) == ["gpt2"]
    assert fact is not None
    assert fact.document["resolved"] is None


def test_the_registrys_alias_goes_before_the_catalogues_until_it_is_gone() -> None:
    world = PastWorld()
    _, before, _ = world.decide(asked("1", model="zephyr-7b"))
    [small] = set(models(before))
    world.registry(kind="alias", alias="zephyr-7b", targets=[[LARGE, None]])
    assert set(models(world.decide(asked("2", model="zephyr-7b"))[1])) == {LARGE}
    world.registry(kind="alias", alias="zephyr-7b", targets=[])
    assert set(models(world.decide(asked("3", model="zephyr-7b"))[1])) == {small}
    assert told_again(world) == (3, 3)


def test_the_installations_own_model_may_be_an_alias_of_the_registry() -> None:
    world = PastWorld(text_model="house")
    plain = world.decide(asked("1"))[1]
    assert plain.resolved is None
    assert plain.verdict == "assigned", "nobody has it yet: the policy chooses"
    world.registry(kind="alias", alias="house", targets=[[LARGE, None]])
    ruling = world.decide(asked("2"))[1]
    assert set(models(ruling)) == {LARGE}
    assert ruling.resolved is not None
    assert told_again(world) == (2, 2)


def test_a_default_model_that_nobody_has_is_warned_of_with_the_names_near_it() -> None:
    """A25."""
    world = PastWorld()
    world.registry(kind="alias", alias="zephyr", targets=[[A, None]])
    standing = world.state.registry.now()
    chosen = [("NOVIX_TEXT_MODEL", "HuggingFaceH4/zephyr-7b-enterprise"), ("NOVIX_IMAGE_MODEL", "auto")]
    [warning] = unknown_defaults(chosen, world.catalogue, standing)
    assert warning.startswith("NOVIX_TEXT_MODEL='HuggingFaceH4/zephyr-7b-enterprise' is no model")
    assert "zephyr" in warning.partition("near it:")[2]
    assert unknown_defaults([("NOVIX_TEXT_MODEL", "zephyr")], world.catalogue, standing) == []
    assert near("q" * 10_000, ["org/a"]) == []


def test_decisions_that_were_made_before_there_was_a_registry_are_decided_again_as_they_stand(world: PastWorld) -> None:
    """Their records name no version of it, and have no field for an alias."""
    world.decide(asked("1"))
    world.registry(kind="admission", model=A, state="withdrawn")
    [(place, rows)] = [(place, rows) for place, rows in world.records.items() if place[0] == DECISIONS.name]
    old = codec.decode(rows[0].value or b"")
    for decision in old["decisions"]:
        del decision["versions"]["registry"], decision["resolved"]
    head = b'{"lane":"%s","sequence":%d,"decisions":[' % (old["lane"].encode(), old["sequence"])
    value = head + b",".join(codec.encode(one) for one in old["decisions"]) + b"]}"
    record = rows[0]
    rows[0] = type(record)(record.topic, record.partition, record.offset, record.key, value, (), record.timestamp_ms)
    assert place[0] == DECISIONS.name
    assert told_again(world) == (1, 1)


def test_a_registry_that_ends_before_the_decisions_version_makes_nothing_again(world: PastWorld) -> None:
    world.registry(kind="admission", model=A, state="withdrawn")
    world.decide(asked("1"))
    records = world.records
    prices, rules, accounts, offers = (records.get((one.name, 0), []) for one in (PRICES, POLICIES, BUDGETS, OFFERS))
    cut = History(Told(prices, rules, accounts, offers, ()))
    with pytest.raises(NotReplayable, match="the history of the registry ends before"):
        cut.view("default", stored(world)[0]["versions"], world.now)
    assert world.replayed(cut).skipped == {"the history of the registry ends before the decision's version": 1}


def test_a_registry_in_another_order_is_another_decision(world: PastWorld) -> None:
    """The replay finds a registry that was written anew: what stands there is compared, not believed."""
    world.registry(kind="admission", model=A, state="withdrawn")
    world.registry(kind="admission", model=B, state="withdrawn")
    world.decide(asked("1"))
    rows = world.records[REGISTRY.name, 0]
    forged = [rows[0], type(rows[1])(REGISTRY.name, 0, 1, None, rows[0].value, (), rows[1].timestamp_ms)]
    world.records[REGISTRY.name, 0] = forged
    again = world.replayed()
    assert again.different == 1
    assert Registry.of(forged).version == "2"


def test_a_decision_read_aloud_says_what_an_alias_stood_for_and_why_a_model_was_refused(world: PastWorld) -> None:
    world.registry(kind="alias", alias="fast", targets=[[A, "c0ffee"]])
    world.registry(kind="admission", model=B, state="withdrawn", reason="recalled")
    world.decide(asked("1", model="fast"))
    world.decide(asked("2"))
    first, second = (" ".join(told(one)) for one in stored(world))
    assert f"its version 1 stood for {A}, pinned to commit c0ffee" in first
    assert "a provider behind Hugging Face the one that it has" in first
    assert f"{B} at acme was left out (not approved): the registry: withdrawn for everybody" in second
    assert "registry 2" in second


def test_a_job_that_waits_is_decided_anew_once_the_registry_has_moved(world: PastWorld) -> None:
    """A ruling is kept while a job waits for its turn, as long as nothing that it was made from has changed."""
    before = world.state.view("t", world.now)
    assert world.state.view("t", world.now).decides_as(before)
    world.registry(kind="admission", model=A, state="withdrawn")
    assert not world.state.view("t", world.now).decides_as(before)
