"""The catalogue: the files that come with Novix, what is served where, and how a bad row is refused."""

import json
import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from router.catalogue import BadCatalogue, Catalogue, load, merge, parse
from runtime.settings import Settings
from schemas.providers import DIALECTS, PROVIDERS, ROUTER_DIALECT
from schemas.tasks import MODALITIES

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
URL = "http://127.0.0.1:9"


def catalogue(**settings: Any) -> Catalogue:
    return load(Settings(home=Path("/nonexistent"), **settings))


def served(which: Catalogue) -> set[str]:
    return {offer.model for offers in which.by_task.values() for offer in offers}


def data(package: str, *path: str) -> Any:
    return json.loads(resources.files(package).joinpath("data", *path).read_bytes())


def test_the_sandboxs_rows_say_what_the_sandbox_says() -> None:
    """Models, tasks, context, limits, licences and prices are equal to those of the local Hugging Face."""
    models, prices = data("sandbox.hf", "models.json"), data("sandbox.hf", "prices.json")
    rows = {row["model"]: row for row in data("router", "sandbox.json")["models"]}
    assert set(rows) == {model["id"] for model in models["models"]}
    for model in models["models"]:
        offers = rows[model["id"]]["offers"]
        assert sorted(task for offer in offers for task in offer["tasks"]) == sorted(model["tasks"])
        for offer in offers:
            assert offer["dialect"] == ("hf-router" if offer["tasks"] == ["chat-completion"] else "hf-inference")
            assert offer["base"] == "sandbox"
            assert offer["provider"] == model["provider"]
            assert offer["provider_model"] == model["id"]
            assert offer["context_tokens"] == model["context_length"]
            assert offer["max_in_flight"] == model["concurrency"]
            assert offer["licence"] == model["licence"]
            assert offer["price"] == expected_price(model["id"], prices)
            assert offer.get("needs") == (model["package"] if model.get("optional") else None)


def expected_price(model: str, prices: Any) -> dict[str, Any]:
    told = {"source": prices["source"], "as_of": prices["as_of"]}
    if model in prices["tokens"]:
        row = prices["tokens"][model]
        return {
            "input_nanousd_per_million_tokens": row["input_nanousd_per_mtok"],
            "output_nanousd_per_million_tokens": row["output_nanousd_per_mtok"],
            **told,
        }
    return {"nanousd_per_compute_ms": prices["compute"][model]["nanousd_per_ms"], **told}


def test_some_twenty_hosted_models_are_listed_with_dated_prices_and_their_source() -> None:
    which = catalogue()
    assert len(served(which)) >= 20
    tiers = {offer.tier for offer in which.by_task["chat-completion"]}
    assert tiers == {"small", "large"}
    for offer in which.offers:
        if offer.price is not None:
            assert offer.price.is_known
            assert offer.price.source
            assert len(offer.price.as_of) == 10


def test_the_llama_of_the_documentation_is_priced_by_assumption() -> None:
    (offer,) = catalogue().by_model[LLAMA]
    assert (offer.provider, offer.dialect, offer.tier, offer.context_tokens) == ("auto", "hf-router", "small", 131072)
    assert offer.price is not None
    assert offer.price.source == "novix-assumed"
    assert offer.price.input_nanousd_per_million_tokens == 50_000_000


UNNAMED = {"text-to-audio"}
"""Done by hf-inference, but nobody says with which model."""


def test_every_task_that_a_provider_does_has_a_hosted_model() -> None:
    assert set(catalogue().by_task) == set().union(*PROVIDERS.values()) - UNNAMED


def test_the_sandbox_serves_what_runs_on_any_machine() -> None:
    tasks = {
        "chat-completion", "text-generation", "feature-extraction", "sentence-similarity", "zero-shot-classification",
        "text-classification",
    }  # fmt: skip
    assert tasks <= set(catalogue(sandbox_url=URL, hf_router_url=URL).by_task)


def test_every_dialect_is_a_provider_with_its_tasks_or_of_no_provider() -> None:
    assert set(PROVIDERS) < DIALECTS
    assert set().union(*PROVIDERS.values()) <= set(MODALITIES)
    assert ROUTER_DIALECT in DIALECTS - set(PROVIDERS)


def test_prices_without_a_public_source_are_marked_as_our_assumption() -> None:
    """A token's and a compute second's price can be read somewhere; any other unit's cannot."""
    for offer in catalogue().offers:
        if offer.price is not None and {unit for unit, _ in offer.rates} - {
            "input_tokens",
            "output_tokens",
            "compute_ms",
        }:
            assert offer.price.source == "novix-assumed", offer


def test_a_name_on_the_wire_that_is_left_out_is_our_own_or_the_mappings() -> None:
    flux = {offer.provider: offer.provider_model for offer in catalogue().by_model["black-forest-labs/FLUX.1-dev"]}
    assert flux == {"hf-inference": "black-forest-labs/FLUX.1-dev", "replicate": "", "wavespeed": ""}


OWN = "https://mine.example.org/llm"


def own(tmp_path: Path, base: str = OWN, **more: Any) -> Path:
    path = tmp_path / "own.json"
    changed = a_file()
    changed["models"][0]["offers"][0] |= {
        "provider": "mine", "dialect": "openai-compatible", "base": base, "tasks": ["chat-completion"], **more,
    }  # fmt: skip
    del changed["models"][0]["offers"][0]["provider_model"]
    path.write_text(json.dumps(changed))
    return path


@pytest.mark.parametrize("dialect", ["openai-compatible", "tgi", "tei", "endpoint"])
def test_a_server_of_ones_own_is_an_offer_at_its_address(tmp_path: Path, dialect: str) -> None:
    """A24: under a provider's name of its own, which a job may ask for."""
    which = catalogue(catalogue=str(own(tmp_path, dialect=dialect)), egress_hosts="mine.example.org")
    (offer,) = which.by_task["chat-completion"]
    assert (offer.base_url, offer.dialect, offer.provider_model) == (OWN, dialect, "org/mine")
    assert which.providers["mine"] == {"chat-completion"}


@pytest.mark.parametrize(
    ("base", "hosts"),
    [
        (OWN, ""),
        (OWN, "other.example.org"),
        (OWN, "https://mine.example.org:8443"),
        ("http://mine.example.org", "mine.example.org"),
        ("https://169.254.169.254/latest", "mine.example.org"),
    ],
)
def test_an_offer_at_a_host_that_no_call_may_go_to_is_refused_by_name(tmp_path: Path, base: str, hosts: str) -> None:
    """A24: at the start, not at the first job."""
    with pytest.raises(BadCatalogue, match=re.escape(repr(base))) as caught:
        catalogue(catalogue=str(own(tmp_path, base)), egress_hosts=hosts)
    assert "NOVIX_EGRESS_HOSTS" in str(caught.value)


def test_a_listed_address_of_this_machine_may_be_called_in_clear(tmp_path: Path) -> None:
    base = "http://127.0.0.1:8080/v1"
    which = catalogue(catalogue=str(own(tmp_path, base)), egress_hosts="http://127.0.0.1:8080")
    assert which.offers[0].base_url == base


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"dialect": "fal-ai", "provider": "together"}, "dialect 'fal-ai' is spoken to fal-ai"),
        ({"dialect": "fal-ai", "provider": "fal-ai"}, "fal-ai does no chat-completion"),
        ({"dialect": "hf-router", "tasks": ["text-to-image"]}, "hf-router does no text-to-image"),
        ({"reads": ["smell"]}, "reads"),
        ({"base": "https://user:pw@mine.example.org"}, "without user"),
        ({"base": "ftp://mine.example.org"}, "must be huggingface, sandbox, or http"),
    ],
)
def test_a_row_that_nobody_could_serve_is_refused(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    with pytest.raises(BadCatalogue, match=re.escape(told)):
        catalogue(catalogue=str(own(tmp_path, **row)), egress_hosts="mine.example.org")


def test_an_unknown_dialect_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogue, match=r"openai-compatible.*together.*zai-org"):
        catalogue(catalogue=str(own(tmp_path, dialect="soap")))


def ours() -> set[str]:
    """The sandbox's models whose packages are here: Novix's extras bring all but the optional ones."""
    rows = data("router", "sandbox.json")["models"]
    needs = {row["model"]: row["offers"][0].get("needs") for row in rows}
    return {model for model, package in needs.items() if not package or find_spec(package)}


def test_a_model_of_an_optional_package_is_served_where_that_is_installed() -> None:
    rows = a_file()
    rows["models"][0]["offers"][0]["needs"] = "somebodys_package"
    files = [parse("t.json", json.dumps(rows).encode())]
    bases = {"huggingface": URL, "sandbox": URL}
    with_it, without = (merge(files, bases, installed=lambda _, here=here: here) for here in (True, False))
    assert served(with_it) == {rows["models"][0]["model"]}
    assert served(without) == set()
    assert with_it.version != without.version


def test_sandbox_rows_are_served_only_where_there_is_a_sandbox() -> None:
    sandbox = ours()
    assert not served(catalogue()) & sandbox
    both = catalogue(sandbox_url=URL)
    assert served(both) >= sandbox | {LLAMA}


def test_where_hugging_face_is_the_sandbox_the_hosted_rows_are_known_and_not_served() -> None:
    which = catalogue(sandbox_url=URL, hf_router_url=URL)
    assert LLAMA in which.by_model
    assert served(which) == ours()


def test_calls_go_where_the_settings_say() -> None:
    which = catalogue(hf_router_url="http://127.0.0.1:7/v1", sandbox_url=URL)
    assert {offer.base_url for offer in which.offers} - {None} == {"http://127.0.0.1:7", URL}


def test_a_catalogue_file_replaces_both(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(a_file()))
    which = catalogue(catalogue=str(path))
    assert set(which.by_model) == {"org/mine"}
    with pytest.raises(BadCatalogue, match="NOVIX_CATALOGUE"):
        catalogue(catalogue=str(tmp_path / "missing.json"))


def test_the_version_changes_with_a_price_and_with_nothing_else(tmp_path: Path) -> None:
    path, other = tmp_path / "mine.json", tmp_path / "other.json"
    path.write_text(json.dumps(a_file()))
    other.write_text(json.dumps(a_file(), indent=4))
    before = catalogue(catalogue=str(path)).version
    assert catalogue(catalogue=str(other)).version == before
    assert catalogue(catalogue=str(other), hf_router_url="http://127.0.0.1:7").version == before
    changed = a_file()
    changed["models"][0]["offers"][0]["price"]["nanousd_per_compute_ms"] = 121
    path.write_text(json.dumps(changed))
    assert catalogue(catalogue=str(path)).version != before


def a_file() -> dict[str, Any]:
    offer = {
        "provider": "hf-inference", "provider_model": "org/mine", "dialect": "hf-inference", "base": "huggingface",
        "tasks": ["feature-extraction"], "context_tokens": 512, "max_in_flight": 4, "licence": "mit",
        "price": {"nanousd_per_compute_ms": 120, "source": "test", "as_of": "2026-11-22"},
    }  # fmt: skip
    return {"origin": "test", "models": [{"model": "org/mine", "tier": None, "offers": [offer]}]}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("provider", "", "models.0 ('org/mine').offers.0.provider"),
        ("dialect", "grpc", "models.0 ('org/mine').offers.0.dialect"),
        ("base", "elsewhere", "models.0 ('org/mine').offers.0.base"),
        ("tasks", ["no-such"], "models.0 ('org/mine').offers.0.tasks"),
        ("context_tokens", 0, "models.0 ('org/mine').offers.0.context_tokens"),
        ("max_in_flight", "1", "models.0 ('org/mine').offers.0.max_in_flight"),
        ("price", {"nanousd_per_compute_ms": 120}, "models.0 ('org/mine').offers.0.price.source"),
        ("price", {"nanousd_per_ms": 1, "source": "t", "as_of": "t"}, "offers.0.price.nanousd_per_ms"),
        ("price", {"nanousd_per_compute_ms": 0.5, "source": "t", "as_of": "t"}, "price.nanousd_per_compute_ms"),
        ("price", {"nanousd_per_compute_ms": -1, "source": "t", "as_of": "t"}, "price.nanousd_per_compute_ms"),
        ("typo", 1, "models.0 ('org/mine').offers.0.typo"),
    ],
)
def test_a_bad_row_is_refused_by_file_row_and_field(field: str, value: Any, told: str) -> None:
    broken = a_file()
    broken["models"][0]["offers"][0][field] = value
    with pytest.raises(BadCatalogue) as caught:
        parse("mine.json", json.dumps(broken).encode())
    assert "mine.json: " in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"aliases": {"zephyr": ["no/such"]}}, "aliases.zephyr"),
        ({"aliases": {"org/mine": ["org/mine"]}}, "aliases.org/mine"),
        ({"models": [*a_file()["models"], {**a_file()["models"][0], "tier": "small"}]}, "tier"),
        ({"models": [*a_file()["models"], *a_file()["models"]]}, "twice"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**a_file(), **change}))
    with pytest.raises(BadCatalogue, match=re.escape(told)):
        catalogue(catalogue=str(path))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b'{"models": 3}'])
def test_a_file_that_is_no_catalogue_is_refused(content: bytes) -> None:
    with pytest.raises(BadCatalogue, match=r"mine\.json"):
        parse("mine.json", content)


def test_a_price_that_nobody_told_is_none_and_not_zero() -> None:
    unknown = {offer.model for offer in catalogue().offers if offer.price is None}
    assert unknown == {"deepseek-ai/DeepSeek-V4-Flash-0731"}


def test_the_sandbox_works_in_the_region_local_and_hosted_offers_in_none_that_is_known() -> None:
    which = catalogue(sandbox_url=URL)
    assert {(offer.local, offer.regions) for offer in which.offers} == {
        (True, frozenset({"local"})),
        (False, frozenset()),
    }


def test_a_row_says_where_it_works_and_how_fast_and_whether_it_is_ones_own(tmp_path: Path) -> None:
    more = {"regions": ["eu-west"], "dedicated": True, "first_token_ms": 300, "tokens_per_s": 55.5}
    which = catalogue(catalogue=str(own(tmp_path, **more)), egress_hosts="mine.example.org")
    (offer,) = which.offers
    told = (offer.regions, offer.dedicated, offer.local, offer.first_token_ms, offer.tokens_per_s)
    assert told == (frozenset({"eu-west"}), True, True, 300, 55.5)
    with pytest.raises(BadCatalogue, match="tokens_per_s"):
        catalogue(catalogue=str(own(tmp_path, tokens_per_s=0)), egress_hosts="mine.example.org")
