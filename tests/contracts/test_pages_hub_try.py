"""Trying a model from its page: a real job on the jobs topic, its result to whoever asked, and nothing without a form
of ours."""

import asyncio
import json
import threading
import time

import pytest
from hub_browser import answering
from hub_world import BERT, MemoryHub
from live_world import OURS, pages
from sample_payloads import png
from starlette.testclient import TestClient

from console.hub.tasks import BadForm
from console.hub.trying import MOST_WAITING, Busy, Tries, order_of
from console.hub.uploads import MOST_FILE_BYTES
from console.pages.guard import MOST_FORM_BYTES
from runtime.ports import Outgoing
from schemas.job import ReadableJob, read_job
from schemas.topics import JOBS, RESULTS

FORM = {"task": "text-classification", "model": BERT, "text": "I loved it.", "tenant": "acme", "ceiling": "0.002"}
TOKEN = "a-token-of-twenty-four-c"


def jobs(log) -> list[dict]:
    return [json.loads(one.value) for (topic, _), rows in log.records.items() if topic == JOBS.name for one in rows]


def opened(world, **how):
    """A world whose Kafka answers."""
    world.log.on_publish = answering(**how).on_publish
    return world


def test_a_filled_form_publishes_the_job_that_it_says(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        answer = opened(world).post("/hub/try", FORM)

        assert answer.status_code == 303
        (job,) = jobs(world.log)
        assert (job["task"], job["model"], job["tenant"]) == ("text-classification", BERT, "acme")
        assert job["max_cost_nanousd"] == 2_000_000
        assert job["input"] == {"inputs": "I loved it."}
        assert isinstance(read_job(json.dumps(job).encode(), ()), ReadableJob)
        (keys,) = [{one.key for one in rows} for (topic, _), rows in world.log.records.items() if topic == JOBS.name]
        assert keys == {b"acme"}
        page = world.get(answer.headers["location"])
        assert "POSITIVE" in page.text
        assert f"/jobs/acme/{job['id']}" in page.links
        assert "/traces/" + "ab" * 16 in page.links


def test_a_script_of_the_page_gets_the_part_that_asks_for_the_result(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        opened(world).client.headers["hx-request"] = "true"
        answer = world.post("/hub/try", FORM)
        assert answer.status_code == 200
        token = answer.text.split('hx-get="/fragments/hub/tried/')[1].split('"')[0]
        part = world.get(f"/fragments/hub/tried/{token}")

    assert "POSITIVE" in part.text
    assert "hx-get" not in part.html, "it asks no more"


def test_one_click_publishes_a_template(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        for name, task in (("text-classification", "text-classification"), ("sentiment", "text-classification"),
                           ("ner", "token-classification")):  # fmt: skip
            opened(world).post("/hub/try", {"template": name, "model": BERT, "tenant": "acme", "ceiling": "0.01"})
            assert jobs(world.log)[-1]["task"] in (task, jobs(world.log)[0]["task"])
        assert sorted(job["task"] for job in jobs(world.log)) == ["text-classification"] * 2 + ["token-classification"]
        assert world.post("/hub/try", {"template": "nothing"}).status_code == 400


@pytest.mark.parametrize("broken", [{"text": ""}, {"task": "none"}, {"tenant": "a b"}, {"ceiling": "x"}])
def test_a_form_that_makes_no_job_publishes_nothing_and_says_why(tmp_path, broken):
    with pages(tmp_path, hub=MemoryHub()) as world:
        answer = world.post("/hub/try", {**FORM, **broken})

        assert answer.status_code == 400
        assert jobs(world.log) == []


@pytest.mark.parametrize("headers", [{}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, OURS])
def test_no_other_site_publishes_a_job(tmp_path, headers):
    with pages(tmp_path, hub=MemoryHub()) as world:
        world.client.get("/hub")
        for path in ("/hub/try", "/api/hub/jobs"):
            assert world.client.post(path, data=FORM, headers=headers).status_code == 403
        assert world.log.records == {}


def test_a_result_of_another_job_is_not_taken_for_it_nor_shown_to_another_token(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        place = world.post("/hub/try", FORM).headers["location"]
        (job,) = jobs(world.log)
        other = {"job_id": job["id"], "tenant": "acme", "status": "succeeded", "output": "of an earlier submission",
                 "received": {"topic": JOBS.name, "partition": 0, "offset": 999}}  # fmt: skip
        world.wrote(Outgoing(RESULTS.name, f"acme/{job['id']}".encode(), json.dumps(other).encode()))
        page = world.get(place)
        assert "earlier submission" not in page.text
        assert "No result yet" in page.text
        assert world.client.get("/hub/tried/" + "x" * 24).status_code == 404


def test_a_failure_is_shown_with_its_kind(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        place = world.post("/hub/try", FORM).headers["location"]
        (job,) = jobs(world.log)
        where = next(
            (partition, len(rows) - 1) for (topic, partition), rows in world.log.records.items() if topic == JOBS.name
        )
        told = {"job_id": job["id"], "tenant": "acme", "status": "rejected", "cost_nanousd": 0,
                "error": {"kind": "no_candidate", "message": "nobody serves <it>"},
                "received": {"topic": JOBS.name, "partition": where[0], "offset": where[1]}}  # fmt: skip
        world.wrote(Outgoing(RESULTS.name, f"acme/{job['id']}".encode(), json.dumps(told).encode()))
        page = world.get(place)

    assert "no_candidate" in page.text
    assert "nobody serves <it>" in page.text
    assert page.is_safe


def test_without_a_way_to_kafka_the_form_says_so(tmp_path):
    with pages(tmp_path, hub=MemoryHub(), kafka=False) as world:
        answer = world.post("/hub/try", FORM)

    assert answer.status_code == 502
    assert "without a way to Kafka" in answer.text


# with a file


def form_token(world) -> str:
    """Of the session, from a page."""
    return world.client.get("/hub/model/google/vit-base").text.split('name="form_token" value="')[1].split('"')[0]


def test_a_form_with_a_file_wants_the_same_token_and_the_same_site(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        token, fields = form_token(opened(world)), {"task": "image-classification", "model": "google/vit-base"}
        files = {"chosen": ("a.png", png(), "image/png")}
        for headers, given in ((OURS, ""), (OURS, "wrong"), ({"sec-fetch-site": "cross-site"}, token), ({}, token)):
            sent = {**fields, "form_token": given}
            assert world.client.post("/hub/try", data=sent, files=files, headers=headers).status_code == 403
        assert jobs(world.log) == []

        answer = world.client.post("/hub/try", data={**fields, "form_token": token}, files=files, headers=OURS)
        assert answer.status_code == 303
        assert jobs(world.log)[0]["input"]["inputs"].startswith("data:image/png;base64,")


def test_a_file_beyond_its_bound_is_refused_and_no_other_form_may_have_one(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        fields = {"task": "image-classification", "model": "google/vit-base", "form_token": form_token(opened(world))}
        sizes = {"/hub/try": MOST_FILE_BYTES + MOST_FORM_BYTES, "/logout": MOST_FORM_BYTES}
        for path, most in sizes.items():
            files = {"chosen": ("a.png", b"\0" * most, "image/png")}
            answer = world.client.post(path, data=fields, files=files, headers=OURS)
            assert answer.status_code == 413
            assert f"{most:,} bytes" in answer.text
        files = {"chosen": ("a.png", b"&" * 5_000, "image/png")}
        answer = world.client.post("/hub/try", data=fields, files=files, headers=OURS)
        assert answer.status_code == 400
        assert "the file" in answer.text
        assert jobs(world.log) == []


# for scripts


def script(world, document, query: str = "", token: str = TOKEN):
    client = TestClient(world.client.app, base_url="http://127.0.0.1", follow_redirects=False)
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.post(f"/api/hub/jobs{query}", content=content, headers={"authorization": f"Bearer {token}"})


def test_a_script_with_the_token_publishes_and_gets_the_result(tmp_path):
    with pages(tmp_path, hub=MemoryHub(), console_token=TOKEN) as world:
        job = {"task": "text-classification", "input": {"inputs": "x"}, "tenant": "acme"}
        answer = script(opened(world), job, "?wait=5")
        sent = script(world, {**job, "id": "mine"})

        assert answer.status_code == 200
        assert answer.json()["result"]["output"] == [{"label": "POSITIVE", "score": 0.98}]
        assert sent.status_code == 202
        assert sent.json()["job_id"] == "mine"
        assert sent.json()["page"] == "/jobs/acme/mine"
        assert {job["id"] for job in jobs(world.log)} == {"mine", answer.json()["job_id"]}


@pytest.mark.parametrize("document", [b"", b"{", b"[]", {"task": "text-classification"}, {"task": "none", "input": {}},
                                      {"task": "text-classification", "input": {"inputs": 7}}])  # fmt: skip
def test_a_script_that_sends_no_job_is_told_why(tmp_path, document):
    with pages(tmp_path, hub=MemoryHub(), console_token=TOKEN) as world:
        answer = script(world, document)

        assert answer.status_code == 400
        assert answer.json()["error"]
        assert world.log.records == {}


def test_a_script_without_the_token_publishes_nothing(tmp_path):
    with pages(tmp_path, hub=MemoryHub(), console_token=TOKEN) as world:
        job = {"task": "text-classification", "input": {"inputs": "x"}}
        assert script(world, job, token="another-token-of-24-chars").status_code == 401
        assert world.log.records == {}


# waiting


def tries(log, *, most: int = 500):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def connection():
        yield log

    return Tries(connection, lambda: 0, most=most)


async def test_a_result_that_comes_while_one_waits_is_given_at_once():
    log = answering()
    on_publish, log.on_publish = log.on_publish, None
    kept = tries(log)
    one = await kept.publish(order_of(FORM).job())
    waiting = asyncio.create_task(kept.wait(one, 20))
    await asyncio.sleep(0)
    job = Outgoing(JOBS.name, b"acme", json.dumps(one.job).encode())
    await log.publish(list(on_publish(job, one.place)))

    result = await waiting
    assert result is not None
    assert result["status"] == "succeeded"
    assert await kept.wait(one, 0) == result, "it is remembered"


async def test_so_many_wait_at_once_and_no_more_and_those_that_gave_up_make_room():
    log = answering()
    log.on_publish = None
    kept = tries(log)
    one = await kept.publish(order_of(FORM).job())
    waiting = [asyncio.create_task(kept.wait(one, 60)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0.01)
    with pytest.raises(Busy, match=str(MOST_WAITING)):
        await kept.wait(one, 1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await kept.wait(one, 0.01) is None


async def test_the_oldest_try_is_forgotten_first():
    kept = tries(answering(), most=2)
    first, second, third = [await kept.publish(order_of(FORM).job()) for _ in range(3)]
    assert kept.get(first.token) is None
    assert kept.get(second.token) is second
    assert kept.get(third.token) is third


async def test_what_is_no_record_is_refused_before_it_is_published():
    log = answering()
    with pytest.raises(BadForm):
        await tries(log).publish({"id": "x", "task": "t", "input": {"inputs": "x" * 2_000_000}})
    assert log.records == {}


def test_a_token_says_nothing_of_the_job_and_is_no_other_one(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        places = {world.post("/hub/try", FORM).headers["location"] for _ in range(5)}
        ids = [job["id"] for job in jobs(world.log)]

    assert len(places) == 5
    assert all(len(place.rpartition("/")[2]) >= 24 for place in places)
    assert not any(job_id in place for place in places for job_id in ids)


def test_looking_for_a_result_keeps_nobody_else_waiting(tmp_path):
    with pages(tmp_path, hub=MemoryHub()) as world:
        place = world.post("/hub/try", FORM).headers["location"]
        before = time.monotonic()
        looking = threading.Thread(target=world.client.get, args=(place,))
        looking.start()
        world.get("/hub")
        looking.join()

    assert time.monotonic() - before < 15
