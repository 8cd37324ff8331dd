"""The catalogue: the files that come with Novix, what is served where, and how a bad row is refused."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from router.catalogue import BadCatalogue, Catalogue, load, parse
from runtime.settings import Settings

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


def test_every_task_of_the_text_worker_has_a_hosted_model_and_one_in_the_sandbox() -> None:
    tasks = {
        "chat-completion", "text-generation", "feature-extraction", "sentence-similarity", "zero-shot-classification",
        "text-classification",
    }  # fmt: skip
    assert tasks <= set(catalogue().by_task)
    assert tasks <= set(catalogue(sandbox_url=URL, hf_router_url=URL).by_task)


def test_sandbox_rows_are_served_only_where_there_is_a_sandbox() -> None:
    sandbox = {row["model"] for row in data("router", "sandbox.json")["models"]}
    assert not served(catalogue()) & sandbox
    both = catalogue(sandbox_url=URL)
    assert served(both) >= sandbox | {LLAMA}


def test_where_hugging_face_is_the_sandbox_the_hosted_rows_are_known_and_not_served() -> None:
    which = catalogue(sandbox_url=URL, hf_router_url=URL)
    assert LLAMA in which.by_model
    assert served(which) == {row["model"] for row in data("router", "sandbox.json")["models"]}


def test_calls_go_where_the_settings_say() -> None:
    which = catalogue(hf_router_url="http://127.0.0.1:7/v1", sandbox_url=URL)
    assert {offer.base_url for offer in which.offers} == {"http://127.0.0.1:7", URL}


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
