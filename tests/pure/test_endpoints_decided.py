"""Dedicated endpoints as the router decides about them: for whom, when, at which price; and how it learns of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from endpoints_world import BEGIN, MODEL, spec_of, state_of
from rulings import NOW, catalogue_of, job, offer, ruled, view

from router.catalogue import Catalogue
from router.feedback import Lessons, Observed
from router.governance import Governance, governance_of
from router.prices.dedicated import Dedicated, with_endpoints
from router.ruling import Ruling
from router.state import State
from router.terms import Terms
from runtime.clock import SystemClock
from runtime.ports import Outgoing, Record
from runtime.registry import Registry
from runtime.settings import Settings
from schemas.endpoints import CostMetrics, EndpointState, Measured
from schemas.failure import FailureKind as K
from schemas.registry import Admission, Facts, RegistryRecord, Rules
from schemas.topics import OFFERS

URL = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"
ENDPOINT = "endpoint.small"


def told(status: str = "running", *, a_call: int = 1_000, **more: Any) -> EndpointState:
    """An endpoint whose calls have cost so much each, in nano-dollars."""
    costs = CostMetrics(nanousd_per_hour=800_000_000, total_nanousd=a_call * 1_000)
    serves = status == "running"
    known = {"url": URL, "ready": serves, "costs": costs, "measured": Measured(succeeded=1_000), "cold_start_s": 180.0}
    return state_of(status, **(known | more))


def catalogue(*states: EndpointState, serverless: int = 100_000_000) -> Catalogue:
    """The endpoints beside one serverless offer of the same model, of so many nano-dollars a million tokens."""
    return with_endpoints(catalogue_of(offer(MODEL, "acme", serverless)), states, lambda url: None)


def asked(chosen: Catalogue, *, provider: str = "auto", timeout_s: float = 600, **terms: Any) -> Ruling:
    here = replace(view(chosen, policy="cheapest/1"), terms=Terms(tenant="acme", **terms))
    return ruled(job(model=MODEL, provider=provider, timeout_s=timeout_s), here)


def order(ruling: Ruling) -> list[str]:
    return [one.provider for one in ruling.candidates]


def test_the_cheaper_of_endpoint_and_serverless_comes_first():
    """256 tokens of output are expected: at $0.1 a million they are 25,600 nano-dollars."""
    assert order(asked(catalogue(told(a_call=20_000))))[0] == ENDPOINT
    assert order(asked(catalogue(told(a_call=200_000))))[0] == "acme"


def test_one_that_sleeps_is_for_jobs_that_have_the_time_of_a_start():
    asleep = catalogue(told("scaledToZero", a_call=1))
    assert order(asked(asleep, timeout_s=600))[0] == ENDPOINT
    near = asked(asleep, timeout_s=100)
    assert order(near) == ["acme"]
    assert [(one.provider, one.reason) for one in near.exclusions] == [(ENDPOINT, K.TOO_SLOW)]
    alone = asked(asleep, timeout_s=100, provider=ENDPOINT)
    assert (alone.verdict, alone.kind) == ("rejected", K.TOO_SLOW)


def test_what_was_observed_while_it_was_there_does_not_shorten_the_start_of_one_that_sleeps():
    """A router that learns knew its calls as fast, and sent jobs that no start could serve in time."""
    seen = {(ENDPOINT, MODEL): Observed(900_000, 200, 0, 1_000_000)}
    here = replace(view(catalogue(told("scaledToZero", a_call=1)), policy="cheapest/1"), terms=Terms(tenant="acme"))
    here = replace(here, lessons=Lessons(seen))
    near = ruled(job(model=MODEL, timeout_s=100), here)
    assert order(near) == ["acme"]
    assert [(one.provider, one.reason) for one in near.exclusions] == [(ENDPOINT, K.TOO_SLOW)]
    assert ENDPOINT in order(ruled(job(model=MODEL, timeout_s=600), here))
    awake = replace(here, catalogue=catalogue(told(a_call=1)))
    assert order(ruled(job(model=MODEL, timeout_s=100), awake))[0] == ENDPOINT


@pytest.mark.parametrize("status", ["paused", "failed"])
def test_one_that_is_stopped_is_excluded_by_name(status: str):
    ruling = asked(catalogue(told(status)), provider=ENDPOINT)
    assert (ruling.verdict, ruling.kind) == ("rejected", K.NO_CANDIDATE)
    assert (ENDPOINT, "its provider does not serve it now") in [(one.provider, one.detail) for one in ruling.exclusions]


def test_a_tier_without_dedicated_ones_never_reaches_it():
    for provider in ("auto", ENDPOINT):
        ruling = asked(catalogue(told(a_call=1)), provider=provider, dedicated=False)
        assert ENDPOINT not in order(ruling)
        assert (ENDPOINT, K.NOT_APPROVED) in [(one.provider, one.reason) for one in ruling.exclusions]


def test_its_region_is_where_it_was_made():
    europe = told(spec=spec_of(security={"region": "eu-west-1"}))
    within = {"residency": "regional", "regions": frozenset({"eu-west-1"})}
    assert order(asked(catalogue(europe), **within)) == [ENDPOINT]
    away = asked(catalogue(told()), **within)
    assert (away.verdict, away.kind) == ("rejected", K.RESIDENCY_REFUSED)
    assert order(asked(catalogue(europe), residency="sovereign", regions=frozenset({"eu-west-1"}))) == [ENDPOINT]


def test_an_endpoint_of_unknown_price_is_not_free():
    ruling = asked(catalogue(told(costs=CostMetrics())), provider=ENDPOINT)
    assert (ruling.verdict, ruling.kind) == ("rejected", K.UNKNOWN_PRICE)


# how a router learns of them


class Topic:
    """What the router publishes; `away`: it does not."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.away = False

    async def publish(self, records: list[Outgoing]) -> None:
        if self.away:
            raise ConnectionError
        self.records += records


def record(state: EndpointState | None) -> Record:
    return Record("novix.endpoints.v1", 0, 0, b"acme/small", None if state is None else state.encode(), (), 0)


def learning(base: Catalogue) -> tuple[Dedicated, Topic, list[Catalogue]]:
    topic, taken = Topic(), list[Catalogue]()
    settings = Settings(home=Path("/nonexistent"))
    dedicated = Dedicated(
        settings, base, taken.append, SystemClock(), why_not=lambda url: None, publish=topic.publish
    )  # fmt: skip
    return dedicated, topic, taken


async def test_a_catalogue_is_told_before_it_is_decided_from_and_each_once():
    base = catalogue_of(offer(MODEL))
    dedicated, topic, taken = learning(base)
    for state in (told(), told(), told("scaledToZero"), told(at=BEGIN + timedelta(hours=1)), told("scaledToZero")):
        dedicated.fold(record(state))
        await dedicated.renew()
    awake, asleep = taken[0].version, taken[1].version
    assert [one.version for one in taken] == [awake, asleep, awake, asleep]
    assert [one.key for one in topic.records] == [awake.encode(), asleep.encode()]
    assert {one.topic for one in topic.records} == {OFFERS.name}


async def test_while_kafka_takes_nothing_the_last_catalogue_holds():
    dedicated, topic, taken = learning(catalogue_of(offer(MODEL)))
    topic.away = True
    dedicated.fold(record(told()))
    with pytest.raises(ConnectionError):
        await dedicated.renew()
    assert taken == []
    topic.away = False
    await dedicated.renew()
    assert len(taken) == 1


async def test_a_catalogue_that_kafka_did_not_take_is_told_again_although_no_endpoint_changes():
    base, topic, taken = catalogue_of(offer(MODEL)), Topic(), asyncio.Queue[Catalogue]()

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            topic.away = False

    dedicated = Dedicated(
        Settings(home=Path("/nonexistent")), base, taken.put_nowait, Clock(), why_not=lambda url: None,
        publish=topic.publish,
    )  # fmt: skip
    topic.away = True
    dedicated.fold(record(told()))
    following = asyncio.create_task(dedicated._run())
    async with asyncio.timeout(30):
        assert ENDPOINT in (await taken.get()).providers
    following.cancel()
    assert len(topic.records) == 1


async def test_a_catalogue_that_the_history_has_is_taken_and_not_told_again():
    """A router that starts reads the history first: what another one told, or itself before, stands there."""
    base = catalogue_of(offer(MODEL))
    before, history, _ = learning(base)
    before.fold(record(told()))
    await before.renew()
    dedicated, topic, taken = learning(base)
    for at, one in enumerate(history.records):
        dedicated._told.fold(Record(OFFERS.name, 0, at, one.key, one.value, (), 0))
    dedicated.fold(record(told()))
    await dedicated.renew()
    assert ENDPOINT in taken[0].providers
    assert topic.records == []


async def test_when_the_last_endpoint_is_gone_the_installations_own_catalogue_is_back():
    base = catalogue_of(offer(MODEL))
    dedicated, topic, taken = learning(base)
    for state in (told(), None):
        dedicated.fold(record(state))
        await dedicated.renew()
    assert taken[-1] is base
    assert len(topic.records) == 1


async def test_what_is_unlisted_in_egress_hosts_is_not_offered_and_what_is_listed_is():
    base = catalogue_of(offer(MODEL))
    for hosts, offered in (("", 0), ("https://*.endpoints.huggingface.cloud", 1)):
        taken = list[Catalogue]()
        settings = Settings(home=Path("/nonexistent"), egress_hosts=hosts)
        dedicated = Dedicated(settings, base, taken.append, SystemClock(), publish=Topic().publish)
        dedicated.fold(record(told()))
        await dedicated.renew()
        assert len(taken) == offered


def test_a_state_decides_from_what_it_was_given_and_names_it():
    base = catalogue_of(offer(MODEL))
    state = State(Settings(home=Path("/nonexistent")), base)
    assert state.view("acme", NOW).versions["catalogue"] == base.version
    made = with_endpoints(base, [told()], lambda url: None)
    state.offer(made)
    assert state.view("acme", NOW).versions["catalogue"] == made.version
    assert ENDPOINT in state.view("acme", NOW).catalogue.providers


def test_one_that_is_bound_takes_its_tenants_jobs_alone_and_the_decision_says_so_without_their_names():
    """Beside one that is everybody's, each tenant is decided from its own table and from no other's."""
    bound = told(a_call=1, spec=spec_of(tenants=["beta", "gamma"]))
    chosen = catalogue(bound, told(a_call=2, spec=spec_of("free"), url=URL.replace("abc", "xyz")))
    for tenant, first in (
        ("acme", "endpoint.free"),
        ("beta", ENDPOINT),
        ("other", "endpoint.free"),
        ("gamma", ENDPOINT),
    ):
        ruling = ruled(
            job(model=MODEL, timeout_s=600, tenant=tenant),
            replace(view(chosen, policy="cheapest/1"), terms=Terms(tenant=tenant)),
        )
        assert order(ruling)[0] == first, tenant
        left_out = [(one.provider, one.reason, one.detail) for one in ruling.exclusions]
        said = (ENDPOINT, K.NOT_APPROVED, "a dedicated endpoint that is bound to other tenants")
        assert left_out == ([] if first == ENDPOINT else [said]), tenant
    alone = asked(chosen, provider=ENDPOINT)
    assert (alone.verdict, alone.kind) == ("rejected", K.NOT_APPROVED)


def test_tenants_that_nothing_is_bound_to_share_one_table():
    """Thousands of them would each have one of their own, made again and again."""
    chosen = catalogue(told(a_call=1, spec=spec_of(tenants=["beta"])))
    for tenant in ("one", "two", "three", "beta"):
        here = replace(view(chosen, policy="cheapest/1"), terms=Terms(tenant=tenant))
        ruled(job(model=MODEL, timeout_s=600, tenant=tenant), here)
    assert len(chosen.tables) == 2
    assert chosen.bound == {"beta"}


def registry(commit: str, newest: str) -> Governance:
    """The model was admitted at a commit, another one than that is refused, and its main branch is at `newest`."""
    said = (
        Admission(model=MODEL, tenant="*", state="admitted", revision=commit, by="a", at=NOW),
        Rules(tenant="*", moved="refuse", by="a", at=NOW),
        Facts(model=MODEL, revision=newest, at=NOW),
    )
    records = [Record("r", 0, at, b"", RegistryRecord(event=one).encode(), (), 0) for at, one in enumerate(said)]
    return governance_of(Registry.of(records).now(), "acme")


@pytest.mark.parametrize(
    ("runs", "asked_for", "newest", "allowed"),
    [
        ("a" * 40, None, "b" * 40, {ENDPOINT}),  # pinned where it was admitted, while the main branch moved
        ("b" * 40, None, "a" * 40, {"acme"}),  # the other way round: serverless has the main branch
        (None, "a" * 40, "b" * 40, {ENDPOINT}),  # not shown yet: as it was asked for
        (None, None, "b" * 40, set()),  # the main branch, both
        ("main", "main", "a" * 40, {ENDPOINT, "acme"}),
        ("v2", None, "a" * 40, {"acme"}),  # a name that is no commit is no admitted one
    ],
)
def test_a_commit_that_moved_is_judged_by_what_an_endpoint_serves(runs, asked_for, newest: str, allowed: set[str]):
    state = told(a_call=1, running_revision=runs, spec=spec_of(revision=asked_for))
    here = replace(
        view(catalogue(state), policy="cheapest/1"), terms=Terms(tenant="acme"), governance=registry("a" * 40, newest)
    )
    ruling = ruled(job(model=MODEL, timeout_s=600), here)
    assert set(order(ruling)) == allowed
    refused = {one.provider for one in ruling.exclusions if "admitted at commit" in one.detail}
    assert refused == {ENDPOINT, "acme"} - allowed
