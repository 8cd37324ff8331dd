"""`novix hub search|show`: the topic read into the index on the way, answers with reasons, typed refusals."""

import json

import pytest
from hub_entries import entry, offer
from hub_world import endpoint
from known_records import fill, result

from console.index.store import Store
from console.serve import store_path
from runtime.ports import Outgoing
from runtime.settings import Settings
from schemas.discovery import Discovery
from schemas.topics import CATALOG, ENDPOINTS

NOT_MET, USAGE = 3, 2
GERMAN = entry(
    "acme/german-sentiment", task="text-classification", languages=["de"], license="MIT", downloads=5_000,
    parameters=110_000_000, tags=["sentiment"],
)  # fmt: skip
LLAMA = entry(
    "meta/llama", task="text-generation", downloads=90_000, parameters=8_000_000_000,
    served=[offer("groq", input_nanousd_per_mtok=50_000_000, output_nanousd_per_mtok=80_000_000, regions=["eu"])],
)  # fmt: skip
HOSTILE = entry("org/evil-\x1b[31mred", task="fill-mask", description="\x1b]0;title\x07")


def publish(log, *entries):
    for one in entries:
        log.append(Outgoing(CATALOG.name, one.key.encode(), one.encode(), (), 0, 1))


@pytest.fixture
def filled(log):
    publish(log, GERMAN, LLAMA)
    return log


def found(done):
    assert done.exit_code == 0, done.output
    return Discovery.model_validate_json(done.stdout)


def test_what_the_topic_says_is_found_and_the_answer_is_the_contract(novix, filled):
    """Read into the index by the command itself: nobody else fills it."""
    told = found(novix("hub", "search", "sentiment", "--offline", "--json"))

    assert [one.entry.id for one in told.models] == ["acme/german-sentiment"]
    assert (told.total, told.filtered, told.filtered_is_exact) == (2, 1, True)
    assert {facet.name for facet in told.facets} >= {"tasks", "licenses"}


def test_a_change_and_a_deletion_are_seen_by_the_next_search(novix, filled):
    assert found(novix("hub", "search", "--offline", "--json")).filtered == 2

    publish(filled, GERMAN.model_copy(update={"license": "Apache-2.0"}))
    filled.append(Outgoing(CATALOG.name, LLAMA.key.encode(), None, (), 0, 1))

    told = found(novix("hub", "search", "--offline", "--json"))
    assert [(one.entry.id, one.entry.license) for one in told.models] == [("acme/german-sentiment", "Apache-2.0")]


def test_every_option_becomes_its_criterion(novix, filled):
    told = found(
        novix(
            "hub", "search", "llama", "--task", "text-generation", "--modality", "text", "--provider", "groq",
            "--region", "eu", "--served", "--max-price", "0.10", "--min-parameters", "7B", "--max-parameters", "9B",
            "--order", "cheapest", "--limit", "5", "--offline", "--json",
        )
    )  # fmt: skip

    asked = told.criteria
    assert (asked.text, asked.tasks, asked.providers, asked.regions) == (
        "llama",
        ("text-generation",),
        ("groq",),
        ("eu",),
    )
    assert (asked.min_parameters, asked.max_parameters, asked.served) == (7 * 10**9, 9 * 10**9, True)
    assert (asked.max_nanousd_per_mtok, asked.order, asked.limit) == (100_000_000, "cheapest", 5)
    assert [one.entry.id for one in told.models] == ["meta/llama"]


def test_explained_it_says_the_parts_and_what_each_constraint_left_out(novix, filled):
    told = novix("hub", "search", "german text classification", "--license", "mit", "--explain", "--offline").stdout

    assert "meant 1.00 x 0.3 = 0.300: text-classification, language de" in told
    assert "left out by licenses: " in told
    assert "tasks: text-classification 1" in told


def test_nothing_that_fits_is_exit_3_and_a_search_that_cannot_be_exit_2(novix, filled):
    assert novix("hub", "search", "--license", "wtfpl", "--offline").exit_code == NOT_MET
    for arguments, says in (
        (["--limit", "0"], "limit"),
        (["--order", "best"], "it is one of relevance"),
        (["--max-parameters", "many"], "whole number"),
        (["--max-price", "-1"], "-1"),
        (["x" * 10_000], "10,000 characters"),
    ):
        done = novix("hub", "search", *arguments, "--offline")
        assert done.exit_code == USAGE, (arguments, done.output)
        assert says in done.stderr


def test_an_empty_catalogue_is_no_fault(novix, log):
    told = novix("hub", "search", "bert", "--offline", "--json")

    assert told.exit_code == NOT_MET
    assert json.loads(told.stdout)["total"] == 0


def test_show_tells_all_of_a_model_with_what_is_not_known_called_so(novix, filled):
    done = novix("hub", "show", "meta/llama")
    assert done.exit_code == 0, done.output
    assert "license: unknown" in done.stdout
    assert "served by groq: live, $0.05/$0.08 a million tokens in/out, eu" in done.stdout
    assert "approved: " in done.stdout

    document = json.loads(novix("hub", "show", "meta/llama", "--json").stdout)
    assert document["entry"]["id"] == "meta/llama"
    assert document["quality"] is None
    assert document["latency"]["source"] == "predicted"


def test_show_tells_what_the_counts_amount_to_and_how_much_a_model_was_used_here(novix, log, tmp_path):
    """B31, B33: popularity and rating from the Hub's counts; use from our own jobs; what is not known is not 0."""
    loved = entry("meta/llama", downloads=10_000, likes=500)
    publish(log, loved, entry("meta/bare"))
    without = json.loads(novix("hub", "show", loved.id, "--json").stdout)["analytics"]
    bare = novix("hub", "show", "meta/bare").stdout

    path = store_path(Settings(home=tmp_path / "home"))
    path.parent.mkdir(parents=True)
    store = Store(path)
    fill(store, result(1, model=loved.id, cost=1_000), result(2, model=loved.id, cost=2_000))
    store.close()
    used, told = (
        json.loads(novix("hub", "show", loved.id, "--json").stdout)["analytics"],
        novix("hub", "show", loved.id),
    )

    assert without["usage"] is None
    assert without["community_rating"] > 0.9
    assert 0 < without["popularity"] < 1
    for line in ("popularity: unknown", "community rating: unknown", "used through Novix: unknown"):
        assert line in bare, line
    assert (used["usage"]["jobs"], used["usage"]["exact"], used["usage"]["cost_nanousd"]) == (2, True, 3_000)
    assert "used through Novix: 2 jobs, $0.000003, the last 2026-11-22T12:00" in told.stdout
    assert "the Hub has no stars" in told.stdout
    assert "used through Novix: no job yet" in novix("hub", "show", "meta/bare").stdout


def test_own_endpoints_are_asked_beside_the_index(novix, filled):
    """A model that the catalogue does not have yet, though it runs on an endpoint of ours."""
    state = endpoint("new-eu", "acme/brand-new")
    filled.append(Outgoing(ENDPOINTS.name, state.spec.key.encode(), state.encode(), (), 0, 1))

    here = novix("hub", "search", "brand new", "--offline", "--json")
    told = found(novix("hub", "search", "brand new", "--json", NOVIX_HUB_SYNC="off"))

    assert here.exit_code == NOT_MET
    assert [one.entry.id for one in told.models] == ["acme/brand-new"]
    assert {note.source: note.ok for note in told.sources} == {"index": True, "endpoints": True}


def test_a_model_that_is_not_there_is_exit_3(novix, filled):
    done = novix("hub", "show", "nobody/has-it")

    assert done.exit_code == NOT_MET
    assert "the catalogue has no model/nobody/has-it" in done.stderr


def test_names_and_texts_of_strangers_move_no_cursor(novix, log):
    publish(log, HOSTILE)
    for arguments in (("search", "evil", "--offline", "--explain"), ("show", HOSTILE.id)):
        done = novix("hub", *arguments)
        assert done.exit_code == 0, done.output
        assert "evil" in done.stdout
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr


def test_a_record_that_is_no_entry_is_passed_over(novix, filled):
    filled.append(Outgoing(CATALOG.name, b"model/a/b", b"{not json", (), 0, 1))
    filled.append(Outgoing(CATALOG.name, b"model/a/other", GERMAN.encode(), (), 0, 1))

    assert found(novix("hub", "search", "--offline", "--json")).filtered == 2
