"""Dedicated endpoints as offers: price, region, tier, whether they sleep; and that a decision can be made again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from endpoints_world import BEGIN, MODEL, spec_of, state_of

from router.catalogue import BUILT_IN, Catalogue, merge, parse
from router.prices.dedicated import Versions, offer_of, with_endpoints
from router.prices.replicas import price_of, rounded_up
from router.snapshot import Catalogues, catalogue_records
from runtime.ports import Record
from schemas.endpoints import CostMetrics, EndpointState, Measured
from schemas.topics import OFFERS

URL = "http://127.0.0.1:1/endpoints/abc"


def base() -> Catalogue:
    from importlib import resources

    folder = resources.files("router").joinpath("data")
    files = [parse(name, folder.joinpath(name).read_bytes()) for name in BUILT_IN]
    return merge(files, {"huggingface": "https://router.huggingface.co", "sandbox": "http://127.0.0.1:1"})


def everywhere(url: str) -> str | None:
    return None


def running(**more: Any) -> EndpointState:
    told = {"status": "running", "ready": True, "url": URL, "costs": CostMetrics(nanousd_per_hour=800_000_000)}
    return state_of(**(told | more))


def test_no_endpoint_leaves_the_catalogue_as_it_is():
    catalogue = base()
    assert with_endpoints(catalogue, [], everywhere) is catalogue
    for status in ("deleted", "refused"):
        assert with_endpoints(catalogue, [state_of(status, url=URL)], everywhere) is catalogue
    assert with_endpoints(catalogue, [state_of("pending")], everywhere) is catalogue  # it has no address yet


def test_an_endpoint_is_offered_beside_the_others_for_tenants_whose_tier_allows_it():
    catalogue = with_endpoints(base(), [running()], everywhere)
    (offer,) = (one for one in catalogue.by_model[MODEL] if one.provider == "endpoint.small")
    assert offer.dedicated
    assert offer.regions == {"us-east-1"}
    assert offer.base_url == URL
    assert {"chat-completion", "text-generation"} <= offer.tasks
    assert catalogue.providers["endpoint.small"] == offer.tasks
    assert len(catalogue.by_model[MODEL]) > 1  # serverless is there to be compared with
    assert offer.max_in_flight == 8  # a replica, as none says how many it batches
    twin = next(one for one in catalogue.by_model[MODEL] if one is not offer)
    assert (offer.licence, offer.tier, offer.context_tokens) == (twin.licence, twin.tier, twin.context_tokens)


def test_an_endpoint_takes_as_many_calls_at_once_as_all_its_replicas_batch():
    scaled = spec_of(scaling={"min_replicas": 0, "max_replicas": 3}, optimization={"max_batch": 16})
    assert offer_of(running(spec=scaled)).max_in_flight == 48
    assert offer_of(running(spec=spec_of(scaling={"min_replicas": 1, "max_replicas": 3}))).max_in_flight == 24


def test_a_start_is_told_as_time_so_that_jobs_without_it_are_refused_at_once():
    asleep = offer_of(running(ready=False, status="scaledToZero", cold_start_s=123.0))
    assert (asleep.first_token_ms, asleep.live) == (130_000, True)
    assert offer_of(running()).first_token_ms is None
    for status in ("pending", "initializing"):
        assert offer_of(running(ready=False, status=status)).first_token_ms == 240_000
    for status in ("paused", "failed"):
        assert not offer_of(running(ready=False, status=status)).live


def test_the_version_is_of_what_is_offered_and_nothing_else():
    catalogue = base()
    first = with_endpoints(catalogue, [running()], everywhere)
    later = running(at=BEGIN + timedelta(hours=1), waiting=7, message="fine", gauges={"x": 1.0})
    assert with_endpoints(catalogue, [later], everywhere).version == first.version
    asleep = with_endpoints(catalogue, [running(status="scaledToZero", ready=False)], everywhere)
    assert asleep.version != first.version
    assert first.version != catalogue.version
    moved = with_endpoints(catalogue, [running(url=URL + "d")], everywhere)
    assert moved.version != first.version


def test_what_was_told_of_a_catalogue_with_endpoints_makes_the_same_catalogue_again():
    bound = running(spec=spec_of("two", tenants=["beta", "alpha"]), status="paused", running_revision="c" * 40)
    made = with_endpoints(base(), [running(), bound], everywhere)
    told, versions = Catalogues(), Versions()
    assert made.version not in versions
    for offset, out in enumerate(catalogue_records(made, BEGIN, limit_bytes=4_000)):
        record = Record(OFFERS.name, 0, offset, out.key, out.value, (), 0)
        told.fold(record)
        assert made.version not in versions  # not before its last part
        versions.fold(record)
    assert made.version in versions
    again = told.of(made.version)
    assert again is not None
    ours, theirs = (
        [one for one in catalogue.offers if one.provider.startswith("endpoint.")] for catalogue in (made, again)
    )
    assert [replace(one, base_url=None) for one in ours] == [replace(one, base_url=None) for one in theirs]
    assert (theirs[1].revision, theirs[1].tenants, again.bound) == ("c" * 40, {"alpha", "beta"}, {"alpha", "beta"})
    assert again.providers["endpoint.two"] == made.providers["endpoint.two"]


def test_an_address_that_no_call_may_go_to_is_not_offered():
    catalogue = base()
    assert with_endpoints(catalogue, [running()], lambda url: "not listed") is catalogue


def test_of_two_endpoints_of_one_name_one_is_offered():
    two = [running(), running(spec=spec_of(namespace="zeta"), url=URL + "z")]
    made = with_endpoints(base(), two, everywhere)
    assert [one.base_url for one in made.offers if one.provider == "endpoint.small"] == [URL]


def test_a_call_costs_what_the_endpoint_has_cost_through_what_it_has_served():
    price = price_of(800_000_000, 1_234_567_890, 1_000, "")
    assert price is not None
    assert (price.nanousd_per_call, price.nanousd_per_compute_ms) == (1_300_000, 0)  # 1,234,568 rounded up
    first = price_of(800_000_000, 210_001, 20, "")
    assert first is not None
    assert first.nanousd_per_call == 11_000  # 10,500.05 rounded up, from the twentieth job on
    assert price_of(800_000_000, 2_100_001, 100, "") == price_of(800_000_000, 2_200_000, 100, "")  # 21,000.01


def test_before_enough_was_served_a_call_costs_its_compute_time():
    for total, served in ((1_000, 19), (None, 1_000), (0, 1_000)):
        price = price_of(800_000_000, total, served, "")
        assert price is not None
        assert (price.nanousd_per_call, price.nanousd_per_compute_ms) == (0, 223)  # 800,000,000 / 3,600,000 = 222.2


def test_an_endpoint_of_unknown_price_has_an_unknown_price():
    assert price_of(None, 10**9, 10**6, "") is None
    assert offer_of(running(costs=CostMetrics())).price is None


@pytest.mark.parametrize(
    ("amount", "rounded"), [(0, 0), (7, 7), (99, 99), (100, 100), (101, 110), (1_234, 1_300), (9_901, 10_000)]
)
def test_prices_are_rounded_up_to_two_digits(amount: int, rounded: int):
    assert rounded_up(amount) == rounded


def test_an_idle_hour_makes_the_next_call_dearer():
    busy = running(
        costs=CostMetrics(nanousd_per_hour=8 * 10**8, total_nanousd=8 * 10**8), measured=Measured(succeeded=4_000)
    )
    idle = running(
        costs=CostMetrics(nanousd_per_hour=8 * 10**8, total_nanousd=16 * 10**8), measured=Measured(succeeded=4_000)
    )
    dear, cheap = offer_of(idle).price, offer_of(busy).price
    assert dear is not None
    assert cheap is not None
    assert dear.nanousd_per_call == 2 * cheap.nanousd_per_call == 400_000


@pytest.mark.parametrize(
    ("image", "task", "dialect", "tasks"),
    [
        ("huggingface", "text-classification", "endpoint", {"text-classification"}),
        ("tgi", "text-generation", "endpoint", {"chat-completion", "text-generation"}),
        ("tei", "sentence-embeddings", "tei", {"feature-extraction"}),
        ("vLLM", "text-generation", "openai-compatible", {"chat-completion"}),
        ("custom", "custom", "endpoint", set()),
    ],
)
def test_a_container_is_spoken_to_as_it_speaks(image: str, task: str, dialect: str, tasks: set[str]):
    offer = offer_of(running(spec=spec_of(task=task, custom={"image": {image: {}}})))
    assert (offer.dialect, set(offer.tasks)) == (dialect, tasks)
