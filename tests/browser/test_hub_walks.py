"""The Model Hub as somebody uses it who knows other hubs: Back and forward, long lists, a telephone, refusals, searches
without hits, files and pictures."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import browser
import browser_checks as checks
import pytest
from browser import NARROW, Visiting
from console_world import MemoryLog
from explorer_story import Told
from explorer_world import Explorer
from hub_browser import answering, filled, hub_explorer
from hub_world import ALBERT, BERT, DISTILBERT, ROBERTA, MemoryHub, entry
from playwright.sync_api import Browser, Page
from sample_payloads import png, wav

from console.hub.uploads import MOST_FILE_BYTES
from runtime.ports import Outgoing
from schemas.topics import JOBS

VIT, WHISPER = "google/vit-base", "openai/whisper-small"


@pytest.fixture(scope="module")
def hub() -> MemoryHub:
    found = filled()
    found.entries.append(entry("acme/painter", task="text-to-image", tasks=("text-to-image",), modality="image"))
    found.entries.append(entry("acme/reader", task="text-to-speech", tasks=("text-to-speech",), modality="audio"))
    return found


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return MemoryLog(on_publish=painted)


@pytest.fixture(scope="module")
def world(told: list[Told], tmp_path_factory, hub: MemoryHub, log: MemoryLog) -> Iterator[Explorer]:
    with hub_explorer(told, tmp_path_factory.mktemp("walks"), hub, log) as shown:
        yield shown


@pytest.fixture
def visiting(chromium: Browser, world: Explorer) -> Visiting:
    return partial(browser.visit, chromium, world.origin)


def painted(outgoing: Outgoing, place: tuple[int, int]) -> Iterable[Outgoing]:
    """A picture for whoever asks for one, a sound for speech, and a label else."""
    task = json.loads(outgoing.value or b"{}").get("task")
    data, media_type = {"text-to-image": (png(40, 30), "image/png"), "text-to-speech": (wav(1), "audio/wav")}.get(
        str(task), (b"", "")
    )
    output: Any = None
    if data:
        uri = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
        sha256 = hashlib.sha256(data).hexdigest()
        reference = {"$ref": {"sha256": sha256, "uri": uri, "media_type": media_type, "bytes": len(data)}}
        output = {"image" if task == "text-to-image" else "audio": reference}
    return answering(output).on_publish(outgoing, place)


def waits(page: Page, what: str) -> None:
    page.wait_for_function(f"() => {what}", timeout=browser.WITHIN_MS)


def chosen(name: str) -> str:
    """The panels show a model, and the list marks no other."""
    marks = "[...document.querySelectorAll('#found [aria-current=true][data-row]')].map(one => one.dataset.model)"
    return f"document.querySelector('#panels [data-shown]')?.dataset.shown === '{name}' && {marks}.join() === '{name}'"


def published(log: MemoryLog) -> list[dict[str, Any]]:
    rows = [one.value for (topic, _), rows in log.records.items() if topic == JOBS.name for one in rows]
    return [json.loads(value or b"{}") for value in rows]


# history


def test_back_and_forward_step_through_chosen_models_without_loading_the_page(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/hub?language=en")
        page.evaluate("window.stayed = true")
        waits(page, chosen(BERT))
        for name in (ROBERTA, ALBERT):
            page.get_by_role("link", name=name, exact=True).first.click()
            waits(page, chosen(name))
        page.go_back()
        waits(page, chosen(ROBERTA))
        assert "model=FacebookAI" in page.url
        page.go_back()
        waits(page, chosen(BERT))
        assert page.url.endswith("/hub?language=en")
        page.go_forward()
        waits(page, chosen(ROBERTA))
        assert page.evaluate("window.stayed")

    assert visit.complaints == []


def test_back_leads_to_the_search_before_and_typing_is_one_step(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/hub")
        page.locator("#q").press_sequentially("bert", delay=200)
        waits(page, "location.search === '?q=bert'")
        page.locator("select[name=order]").select_option("likes")
        waits(page, "location.search === '?q=bert&order=likes'")
        page.locator("#q").fill("roberta")
        waits(page, "location.search === '?q=roberta&order=likes'")
        for search, typed, order in (("?q=bert&order=likes", "bert", "likes"), ("?q=bert", "bert", "relevance"),
                                     ("", "", "relevance")):  # fmt: skip
            page.go_back()
            waits(page, f"location.search === {json.dumps(search)} && document.readyState === 'complete'")
            waits(page, f"document.getElementById('q')?.value === {json.dumps(typed)}")
            assert page.locator("select[name=order]").input_value() == order
        page.go_forward()
        waits(page, "document.getElementById('q')?.value === 'bert' && location.search === '?q=bert'")

    assert visit.complaints == []


def test_the_tray_is_part_of_the_address_and_somebody_else_gets_it(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/hub?q=bert")
        page.get_by_label(f"Compare {BERT}", exact=True).check()
        page.get_by_label(f"Compare {ALBERT}", exact=True).check()
        waits(page, "new URLSearchParams(location.search).getAll('m').length === 2")
        page.get_by_role("link", name=DISTILBERT, exact=True).first.click()
        waits(page, chosen(DISTILBERT))
        address = page.url
        page.go_back()
        waits(page, chosen(BERT))
        page.locator("#tray .chip button").first.click()
        waits(page, f"new URLSearchParams(location.search).getAll('m').join() === '{ALBERT}'")
        page.reload()
        assert page.locator("#tray .chip bdi").all_inner_texts() == [ALBERT]
    with visiting() as other:
        page = other.go(address.removeprefix(other.origin))
        assert page.locator("#tray .chip bdi").all_inner_texts() == [BERT, ALBERT]
        waits(page, chosen(DISTILBERT))

    assert [*visit.complaints, *other.complaints] == []


# where one looks


def in_sight(page: Page, selector: str) -> bool:
    seen = "(one) => { const box = one.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight; }"
    return bool(page.locator(selector).first.evaluate(seen))


def test_a_model_that_is_chosen_far_down_the_list_is_shown_in_sight(visiting: Visiting, hub: MemoryHub):
    added = [entry(f"acme/long-list-{number}", downloads=10) for number in range(20)]
    hub.entries.extend(added)
    try:
        with visiting() as visit:
            page = visit.go("/hub?q=long-list")
            last = page.locator(".hit-name").last
            name = last.inner_text()
            last.click()
            waits(page, chosen(name))
            assert page.evaluate("scrollY") > 200
            assert in_sight(page, "#details-title")
            assert in_sight(page, "#panels h3.id")
            assert name in page.locator("[data-chosen-say]").inner_text()
    finally:
        del hub.entries[-len(added) :]

    assert visit.complaints == []


def test_on_a_telephone_a_tap_leads_to_the_model_and_a_link_back_to_the_list(visiting: Visiting):
    with visiting(size=NARROW) as visit:
        page = visit.go("/hub")
        page.get_by_role("link", name=ROBERTA, exact=True).first.click()
        waits(page, chosen(ROBERTA))
        waits(page, "document.activeElement?.id === 'details-title'")
        assert in_sight(page, "#details-title")
        page.get_by_role("link", name="Back to the list").click()
        waits(page, "document.getElementById('explorer-title').getBoundingClientRect().top >= -1")
        assert page.locator("#panels [data-shown]").get_attribute("data-shown") == ROBERTA
        page.go_back()
        waits(page, "location.hash === ''")
        page.go_back()
        waits(page, chosen(BERT))

    assert visit.complaints == []


def test_what_is_opened_stays_open_while_one_types_and_a_filter_is_taken_away_by_its_chip(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/hub")
        page.locator(".facets summary").click()
        page.locator("#q").fill("bert")
        waits(page, "location.search === '?q=bert'")
        assert page.locator(".facets").evaluate("(one) => one.open")
        page.goto(visit.origin + "/hub?q=bert&license=mit&language=en")
        with page.expect_navigation():
            page.get_by_role("link", name="Without licence mit").click()
        assert page.url.endswith("/hub?q=bert&language=en")

    assert visit.complaints == []


# nothing, and refusals


def test_a_search_without_hits_tells_near_words_and_the_condition_to_blame(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/hub?q=robrta")
        page.get_by_text("Did you mean").wait_for()
        assert checks.contrast(page) == []
        assert "without" not in page.locator(".advice").inner_text(), "its words are all that it asks for"
        with page.expect_navigation():
            page.locator(".advice a", has_text="roberta").click()
        assert page.locator(".hit-name").all_inner_texts() == [ROBERTA]
        page.goto(visit.origin + "/hub?q=roberta&license=Apache-2.0")
        page.locator(".advice a", has_text="without licence").wait_for()
        assert "without licence Apache-2.0: 1" in page.locator(".advice").inner_text()

    assert visit.complaints == []


STATUSES = [(403, "text/plain", "refused: not yours"), (413, "text/plain", "too <large>"), (401, "application/json",
            '{"error": "log in first"}'), (404, "text/html", "<!doctype html><main><h1>x</h1><p>gone</p></main>"),
            (500, "text/plain", ""), (502, "text/html", "<p role=alert>broken pipe</p>"), (503, "text/html",
            "<p role=alert>it is damaged</p>")]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "body"), STATUSES, ids=[str(one[0]) for one in STATUSES])
def test_a_refusal_of_any_status_is_told_where_the_answer_would_stand(visiting: Visiting, status, kind, body):
    wanted = {401: "log in first", 404: "gone", 500: "could not be done", 502: "broken pipe", 503: "damaged"}
    with visiting() as visit:
        visit.expected = (f"status of {status}",)
        page = visit.go("/hub")
        page.route("**/fragments/hub/*", lambda route: route.fulfill(status=status, content_type=kind, body=body))
        page.locator("#q").fill("x")
        page.locator("#found [role=alert]").wait_for()
        assert wanted.get(status, body) in page.locator("#found").inner_text()
        assert page.locator("#found h1").count() == 0, "no page within the page"
        page.unroute("**/fragments/hub/*")
        page.locator("#q").fill("bert")
        page.locator(".hit-name").first.wait_for()

    assert visit.complaints == []


def test_a_server_that_does_not_answer_is_told_and_can_be_tried_again(visiting: Visiting):
    with visiting() as visit:
        visit.expected = ("net::ERR_FAILED", "Failed to fetch")
        page = visit.go("/hub")
        page.route("**/fragments/hub/results*", lambda route: route.abort())
        page.locator("#q").fill("roberta")
        page.locator("#found [role=alert]", has_text="does not answer").wait_for()
        assert page.locator(".hit-name").count() == 0, "no list of another search"
        page.unroute("**/fragments/hub/results*")
        with page.expect_navigation():
            page.get_by_role("link", name="Try again").click()
        page.locator(".hit-name").first.wait_for()

    assert visit.complaints == []


def test_parts_of_a_model_that_is_gone_say_so_without_a_page_in_the_page(visiting: Visiting, hub: MemoryHub):
    for part in ("card", "rivals", "panels", "performance", "tried/unknown"):
        with visiting() as visit:
            visit.expected = ("status of 404",)
            answer = visit.page.request.get(f"{visit.origin}/fragments/hub/{part}?model=no/such")
            assert "<html" not in answer.text(), part
    with visiting() as visit:
        page = visit.go("/hub/model/roberta-base", status=404)
        assert page.locator("main a", has_text=ROBERTA).count() == 1
        assert page.get_by_role("link", name="search the catalogue").count() == 1
        assert checks.semantics(page) == []

    assert visit.complaints == []


# trying with files


@pytest.mark.parametrize("scripts", [True, False], ids=["scripted", "plain"])
def test_a_picture_is_chosen_and_travels_in_the_job(visiting: Visiting, log: MemoryLog, scripts: bool):
    data = png(30, 20)
    with visiting(scripts=scripts) as visit:
        page = visit.go(f"/hub/model/{VIT}")
        form = page.locator("form.act").first
        # A name says nothing: the first bytes do.
        form.locator("input[type=file]").set_input_files({"name": "x.txt", "mimeType": "text/plain", "buffer": data})
        form.get_by_role("button", name="Publish the job").click()
        page.locator(".tried .output").wait_for()

    assert published(log)[-1]["input"] == {"inputs": "data:image/png;base64," + base64.b64encode(data).decode()}
    assert visit.complaints == []


def test_a_large_sound_goes_to_the_blob_store_and_the_job_refers_to_it(visiting: Visiting, log: MemoryLog):
    data = wav(20)
    with visiting() as visit:
        page = visit.go(f"/hub/model/{WHISPER}")
        form = page.locator("form.act").first
        form.locator("input[type=file]").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": data})
        form.get_by_role("button", name="Publish the job").click()
        page.locator(".tried .output").wait_for()

    told = published(log)[-1]["input"]["inputs"]["$ref"]
    assert (told["sha256"], told["media_type"]) == (hashlib.sha256(data).hexdigest(), "audio/wav")
    assert told["uri"] == "blob://" + told["sha256"]
    assert visit.complaints == []


def test_a_file_that_is_none_or_too_large_is_refused_and_publishes_nothing(visiting: Visiting, log: MemoryLog):
    before = len(published(log))
    with visiting() as visit:
        page = visit.go(f"/hub/model/{VIT}")
        visit.expected = ("status of 400",)
        form, button = page.locator("form.act").first, page.get_by_role("button", name="Publish the job").first
        wrong = {"name": "a.png", "mimeType": "image/png", "buffer": b"<svg onload=alert(1)>"}
        form.locator("input[type=file]").set_input_files(wrong)
        button.click()
        page.locator("#tried [role=alert]", has_text="the file").wait_for()
        large = {"name": "a.png", "mimeType": "image/png", "buffer": b"0" * (MOST_FILE_BYTES + 1)}
        form.locator("input[type=file]").set_input_files(large)
        why = form.locator("input[type=file]").evaluate("(one) => one.validationMessage")
        assert "8,388,609 bytes; it may have 8,388,608" in why
        button.click()
        form.locator("input[type=file]").set_input_files([])
        form.locator("input[name=file]").fill("ftp://example.org/a.png")
        button.click()
        page.locator("#tried [role=alert]", has_text="https address").wait_for()

    assert len(published(log)) == before
    assert visit.complaints == []


def test_without_a_file_a_small_sample_is_sent(visiting: Visiting, log: MemoryLog):
    with visiting() as visit:
        page = visit.go(f"/hub/model/{WHISPER}")
        page.get_by_role("button", name="Publish the job").first.click()
        page.locator("#tried .output").wait_for()

    assert published(log)[-1]["input"]["inputs"].startswith("data:audio/wav;base64,")
    assert visit.complaints == []


def test_a_picture_is_answered_as_a_picture_and_a_sound_as_a_sound(visiting: Visiting):
    with visiting() as visit:
        page = visit.go("/hub/model/acme/painter")
        page.get_by_role("button", name="Publish the job").first.click()
        page.locator("#tried img").wait_for()
        waits(page, "document.querySelector('#tried img').naturalWidth === 40")
        address = page.locator("#tried img").get_attribute("src") or ""
        assert re.fullmatch(r"/hub/tried/[\w-]+/0", address)
        sent = page.request.get(visit.origin + address)
        assert (sent.headers["content-type"], sent.body()[:4]) == ("image/png", b"\x89PNG")
        assert page.request.get(visit.origin + address[:-1] + "1").status == 404
        visit.go("/hub/model/acme/reader")
        page.get_by_role("button", name="Publish the job").first.click()
        page.locator("#tried audio").wait_for()
        waits(page, "Math.round(document.querySelector('#tried audio').duration) === 1")
        assert checks.foreign(page) == []

    assert visit.complaints == []


def test_a_model_links_to_its_page_on_the_hub(visiting: Visiting):
    with visiting() as visit:
        link = visit.go(f"/hub/model/{BERT}").get_by_role("link", name="Its page on the Hub")
        assert (link.get_attribute("href") or "").endswith(f"/{BERT}")
        assert "noopener" in (link.get_attribute("rel") or "")
