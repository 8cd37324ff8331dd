"""The console as a process beside a router and a worker: it shows what Kafka, the ledger and the processes say."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from browser import visit
from playwright.sync_api import Browser as Chromium
from stranger import Stranger, installation
from system import MODEL, Process, chat

import router
from console.words import money
from schemas.topics import AUDIT, BREAKERS, JOBS, RESULTS, ROUTER_GROUP, TEXT, worker_group

SICK = "openai/gpt-oss-20b"
TWO = "lab/two"
WITHIN_S = 150
INPUT_NANOUSD, OUTPUT_NANOUSD = 50, 100
"""Of a token of `MODEL`, as `tests/broker/test_money.py` has it."""


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """Two attempts a job, four calls at once, short timeouts, and a model that two providers have."""
    folder = tmp_path_factory.mktemp("live")
    with installation(
        broker.bootstrap, folder, NOVIX_CATALOGUE=str(catalogue(folder)),
        NOVIX_MAX_RETRIES="1", NOVIX_READ_TIMEOUT_S="1",
        NOVIX_BACKOFF_FACTOR_S="0.02", NOVIX_BREAKER_RESET_S="5", NOVIX_BREAKER_WINDOW="0",
        NOVIX_BREAKER_FAIL_MAX="5", NOVIX_RETRY_BUDGET="1000", NOVIX_MAX_IN_FLIGHT="4",
    ) as stranger:  # fmt: skip
        yield stranger


def catalogue(folder: Path) -> Path:
    """The installation's own, and `TWO` at two providers for the price of `MODEL`."""
    known = json.loads(Path(router.__file__).with_name("data").joinpath("huggingface.json").read_text())
    price = {
        "input_nanousd_per_million_tokens": INPUT_NANOUSD * 10**6, "source": "novix-assumed", "as_of": "2026-11-22",
        "output_nanousd_per_million_tokens": OUTPUT_NANOUSD * 10**6,
    }  # fmt: skip
    offers = [
        {
            "provider": provider, "provider_model": TWO, "dialect": "hf-router", "base": "huggingface",
            "tasks": ["chat-completion"], "context_tokens": 131_072, "licence": "apache-2.0", "price": price,
            "max_in_flight": 4,
        }
        for provider in ("groq", "together")
    ]  # fmt: skip
    path = folder / "catalogue.json"
    path.write_text(
        json.dumps({**known, "models": [*known["models"], {"model": TWO, "tier": "small", "offers": offers}]})
    )
    return path


class Browser:
    """Somebody with cookies who looks at the console."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.origin = f"http://127.0.0.1:{process.environment['NOVIX_CONSOLE_PORT']}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> str:
        """A page."""
        with self._opener.open(self.origin + path, timeout=30) as answer:
            return str(answer.read().decode())

    def json(self, path: str) -> Any:
        """A document."""
        return json.loads(self.get(path))

    def post(self, page: str, path: str, **fields: str) -> tuple[int, str]:
        """A form of a page."""
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get(page))
        assert token is not None, f"{page} has no form"
        body = urllib.parse.urlencode({"form_token": token[1], **fields}).encode()
        request = urllib.request.Request(self.origin + path, body, {"origin": self.origin})  # noqa: S310 - loopback
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()


@pytest.fixture(scope="module")
def browser(novix: Stranger) -> Iterator[Browser]:
    """At a console of this installation that knows its processes."""
    known = [
        f"{one.name}=http://127.0.0.1:{one.environment['NOVIX_HEALTH_PORT']}/healthz" for one in novix.system.processes
    ]
    console = novix.system.process(("-m", "console", "console"), "console")
    console.environment |= {
        "NOVIX_CONSOLE_PORT": console.environment["NOVIX_HEALTH_PORT"],
        "NOVIX_CONSOLE_PROCESSES": ",".join(known),
        "NOVIX_LOG_DIR": str(novix.folder),
    }
    console.start()
    try:
        until(lambda: console.health()[0] == 200, "console that answers")
        yield Browser(console)
    finally:
        console.stop()


def until(done: Callable[[], Any], what: str) -> Any:
    """What `done` gives, once it gives something."""
    end = time.monotonic() + WITHIN_S
    while not (found := done()):
        assert time.monotonic() < end, f"no {what} within {WITHIN_S} s"
        time.sleep(0.1)
    return found


def behave(novix: Stranger, model: str = MODEL, **how: object) -> None:
    novix.system.stub("/admin/behave", {"model": model, **how})


def letter_of(browser: Browser, tenant: str) -> dict[str, Any]:
    """The dead letter of a tenant, once the console knows it."""

    def mine() -> list[dict[str, Any]]:
        return [one for one in browser.json("/api/letters")["letters"] if one["tenant"] == tenant]

    return until(mine, "dead letter")[0]  # type: ignore[no-any-return]


def test_topics_groups_lag_and_processes_are_as_kafka_and_they_say(novix: Stranger, browser: Browser, tenant: str):
    novix.publish(*(chat(f"j{number}", tenant) for number in range(20)))
    novix.results_of(tenant)
    novix.quiet()

    def settled() -> dict[str, Any] | None:
        told: dict[str, Any] = browser.json("/api/live")
        lags = [one["lag"] for topic in told["topics"] for one in topic["partitions"] if topic["group"]]
        return told if told["topics"] and not any(lags) else None

    told = until(settled, "lag of nothing")

    topics = {topic["name"]: topic for topic in told["topics"]}
    for topic in (JOBS.name, RESULTS.name):
        found = [record.offset for record in novix.read(topic) if record.partition == 0]
        assert topics[topic]["partitions"][0]["end"] > max(found, default=-1)
    assert all(one["lag_is_exact"] for one in topics[TEXT.name]["partitions"])
    groups = {group["name"]: group for group in told["groups"]}
    for group, topic in ((ROUTER_GROUP, JOBS.name), (worker_group("text"), TEXT.name)):
        assert groups[group]["state"] == "Stable"
        [member] = groups[group]["members"]
        assert [tuple(place) for place in member["partitions"]] == [
            (topic, one["number"]) for one in topics[topic]["partitions"]
        ]
    assert {one["name"]: one["well"] for one in told["processes"]} == {"router": True, "worker": True}
    assert {one["in_flight"] for one in topics[TEXT.name]["partitions"]} == {0}
    seen = browser.get("/live")
    assert TEXT.name in seen
    assert novix.system.settings.topic_prefix not in seen


def test_a_burst_shows_as_a_rate_and_calls_under_way_as_in_flight(novix: Stranger, browser: Browser, tenant: str):
    browser.json("/api/live")
    behave(novix, delay_ms=700)
    try:
        novix.publish(*(chat(f"j{number}", tenant) for number in range(24)))

        def busy() -> bool:
            topics = {topic["name"]: topic for topic in browser.json("/api/live")["topics"]}
            text = topics[TEXT.name]["partitions"]
            return any((one["per_s"] or 0) > 0 for one in text) and any(
                (one["in_flight"] or 0) > 0 and one["oldest_s"] is not None for one in text
            )

        until(busy, "traffic")
    finally:
        behave(novix)
    novix.results_of(tenant)


def test_costs_equal_the_ledger_and_the_bill_to_the_nanodollar_through_retries_and_calls_without_answer(
    novix: Stranger, browser: Browser, tenant: str
):
    behave(novix, statuses=[200, 503, 200])
    jobs = [
        chat(f"r{number}", f"{tenant}-{number % 3}", metadata={"project": f"p{number % 2}"}) for number in range(24)
    ]
    novix.publish(*jobs)
    for number in range(3):
        novix.results_of(f"{tenant}-{number}")
    behave(novix, stall=True)
    novix.run(chat("silent", tenant))
    behave(novix)
    fall_back(novix, tenant)
    novix.run(chat("after", tenant))
    novix.quiet()

    by_all = ("tenant", "model", "provider", "task", "status", "day", "tag:project")
    told = json.loads(novix.cli("ledger", "statement", "--by", ",".join(by_all), "--json").stdout)
    total = told["total"]

    def ledger(by: str) -> dict[str, tuple[int, int]]:
        sums: dict[str, tuple[int, int]] = {}
        for row in told["groups"]:
            paid, unsure = sums.get(row[by], (0, 0))
            sums[row[by]] = paid + row["nanousd"], unsure + row["ambiguous_nanousd"]
        return {name: amounts for name, amounts in sums.items() if amounts[0]}

    def shown(by: str) -> dict[str, tuple[int, int]]:
        rows = browser.json(f"/api/costs?by={by}")["rows"]
        return {row["name"]: (row["nanousd"], row["ambiguous_nanousd"]) for row in rows if row["nanousd"]}

    until(lambda: sum(paid for paid, _ in shown("tenant").values()) == total["nanousd"], "index that has caught up")
    assert total["ambiguous_nanousd"] > 0
    for by in by_all[:-1]:
        assert shown(by) == ledger(by), by
    # Of the job that fell back each provider has its part, and the one that did not answer may have been paid.
    assert shown("provider")["groq"][0] == shown("provider")["groq"][1] > 0 == shown("provider")["together"][1]
    tags = {name: amounts for name, amounts in shown("tag").items() if name.startswith("project=")}
    assert tags == {f"project={name}": amounts for name, amounts in ledger("tag:project").items() if name != "-"}
    bill = novix.system.stub("/admin/bill")
    paid = sum(used_in * INPUT_NANOUSD + used_out * OUTPUT_NANOUSD for _, _, used_in, used_out in bill)
    assert total["nanousd"] - total["ambiguous_nanousd"] == paid


def fall_back(novix: Stranger, tenant: str) -> None:
    """A job whose first candidate takes the call, may charge for it and never answers; its second one answers."""
    behave(novix, TWO, stall=True)
    novix.publish(chat("fell-back", tenant, model=TWO))
    until(lambda: novix.system.calls()[f"{tenant}/fell-back"], "call")
    behave(novix, TWO)
    first, second = novix.result("fell-back", tenant)["attempts"]
    assert (first["provider"], second["provider"]) == ("groq", "together")
    assert min(first["cost_nanousd"], second["cost_nanousd"]) > 0


def test_a_letter_is_driven_again_from_its_page_and_the_audit_names_who_did_it(
    novix: Stranger, browser: Browser, tenant: str
):
    behave(novix, status=503)
    assert novix.run(chat("one", tenant))["status"] == "failed"
    behave(novix)
    letter = letter_of(browser, tenant)
    place = f"{letter['partition']}/{letter['offset']}"

    status, asked = browser.post(f"/letters/{place}", "/letters/redrive", place=place)
    assert (status, "I mean it" in asked) == (200, True)
    status, told = browser.post(f"/letters/{place}", "/letters/redrive", place=place, sure="yes")

    assert (status, "1 of 1 driven again" in told) == (200, True)
    assert novix.result("one", tenant, submission=2)["status"] == "succeeded"
    [entry] = [
        entry
        for found in novix.read(AUDIT.name)
        for entry in found.json["entries"]
        if entry.get("tenant") == tenant and entry["action"] == "job.redriven"
    ]
    assert place in json.dumps(entry["detail"])
    assert re.search(r"novix console by \S+ at \S+ for 127\.0\.0\.1", json.dumps(entry["detail"]))


def test_breakers_are_those_of_their_topic(novix: Stranger, browser: Browser, tenant: str):
    def newest() -> dict[str, str]:
        """Of each breaker; one whose time has come lets a trial call through."""
        states = {found.key: found.json for found in sorted(novix.read(BREAKERS.name), key=lambda found: found.offset)}
        now = datetime.now(UTC)
        return {
            f"{one['provider']}/{one['model']}": "half-open"
            if one["state"] == "open" and datetime.fromisoformat(one["retry_at"]) <= now
            else one["state"]
            for one in states.values()
        }

    def shown() -> dict[str, str]:
        rows = browser.json("/api/live")["providers"]
        return {f"{row['provider']}/{row['model']}": row["breaker"] for row in rows}

    def opened() -> list[str]:
        return [name for name, state in shown().items() if name.endswith(SICK) and state != "closed"]

    behave(novix, SICK, status=503)
    novix.publish(*(chat(f"s{number}", tenant, model=SICK) for number in range(12)))
    [name] = until(opened, "breaker that opened")[:1]
    behave(novix, SICK, status=200)
    novix.results_of(tenant)

    assert name in newest()
    until(lambda: {**shown(), **newest()} == shown(), "page that says what the topic says")


def test_a_job_that_is_published_appears_in_an_open_page_and_ends_there_without_a_reload(
    novix: Stranger, browser: Browser, tenant: str, chromium: Chromium
):
    """From a producer through Kafka, router and worker to a server-sent event, and by it into the page."""
    with visit(chromium, browser.origin) as person:
        person.page.set_default_timeout(WITHIN_S * 1_000)
        page = person.go(f"/?q=tenant%3D{tenant}")
        page.locator("#stream.is-live").wait_for()
        page.evaluate("window.stayed = true")
        assert page.locator("[data-list] a[data-row]").count() == 0
        novix.publish(chat("seen-live", tenant))
        row = page.locator("[data-list] tr", has_text="seen-live")
        row.locator(".status.succeeded").wait_for()
        result = novix.result("seen-live", tenant)
        assert money(result["cost_nanousd"]) in row.inner_text()
        assert page.evaluate("window.stayed")
        row.locator("a[data-row]").click()
        page.wait_for_url(f"{browser.origin}/jobs/{tenant}/seen-live")
        assert f"seen-live of tenant {tenant}: succeeded" in page.locator("pre.words").inner_text()

    assert person.complaints == []
