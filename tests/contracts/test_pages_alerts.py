"""The page Alerts: what fires, what fired, and the way to the jobs concerned."""

from urllib.parse import parse_qs, urlsplit

import pytest
from live_world import HOSTILE, at, pages

from console.pages.alerts import concerned
from runtime.ports import Outgoing
from schemas.alerts import Alert
from schemas.policies import AlertRule
from schemas.topics import ALERTS


@pytest.fixture
def world(tmp_path):
    with pages(tmp_path) as world:
        yield world


def alert(rule="breaker-open", subject="groq/org/m", second=0, **more):
    told = {
        "alert_id": f"{rule}{subject}{second}", "rule": rule, "on": "breaker_open", "subject": subject, "value": 12.5,
        "threshold": 0.0, "unit": "s", "message": f"{subject}: it is open", "at": at(second),
    }  # fmt: skip
    return Alert(**{**told, **more})


def tell(world, *alerts):
    for number, one in enumerate(alerts):
        world.wrote(
            Outgoing(ALERTS.name, one.alert_id.encode(), one.model_dump_json().encode(), partition=number % 3,
                     timestamp_ms=int(one.at.timestamp() * 1_000))
        )  # fmt: skip


def test_what_fires_stands_first_and_what_is_over_among_the_told(world):
    over = alert(subject="a/b", second=1)
    tell(world, over, alert(second=2), over.model_copy(update={"state": "resolved", "value": 0.0, "at": at(3)}))

    told = world.client.get("/api/alerts").json()

    assert [one["subject"] for one in told["firing"]] == ["groq/org/m"]
    assert [(one["subject"], one["state"]) for one in told["past"]] == [
        ("a/b", "resolved"),
        ("groq/org/m", "firing"),
        ("a/b", "firing"),
    ]
    row = world.get("/alerts").row("groq/org/m")
    assert row[:4] == ["fires", "groq/org/m: it is open", "warning", "breaker-open"]
    assert row[4:9] == ["12.5", "0", "s", "5 min 0 s", "58 s"]


def test_nothing_fires_and_nothing_was_told_is_said(world):
    text = world.get("/alerts").text
    assert "Nothing fires" in text
    assert "No alert was told" in text


def test_many_alerts_are_paged(world):
    tell(world, *(alert(subject=f"p/m{n}", second=n % 50) for n in range(120)))
    first = world.client.get("/api/alerts").json()
    second = world.client.get("/api/alerts", params={"after": first["next"]}).json()
    assert len({one["subject"] for one in first["past"] + second["past"]}) == 120
    assert len(first["firing"]) == 120


def test_an_alert_leads_to_the_jobs_of_its_provider_or_tenant_within_its_window():
    rule = AlertRule(id="breaker-open", on="breaker_open", window_s=300, at=at(0), by="x")

    def query(address):
        assert urlsplit(address).path == "/"
        return parse_qs(urlsplit(address).query)["q"][0].split()

    assert query(concerned(alert(second=600), rule)) == [
        "provider=groq", "model=org/m", "since=2026-11-22T12:05:00Z", "until=2026-11-22T12:10:01Z",
    ]  # fmt: skip
    of_tenant = alert("budget", "budget b of acme", 0, on="budget", tenant="acme")
    assert query(concerned(of_tenant, None))[0] == "tenant=acme"
    assert concerned(alert(on="dead_letters", subject="dead letters"), rule) == "/letters"
    assert (
        concerned(alert(on="lag", subject="novix-router on inference.jobs.v1"), rule)
        == "/live/topics/inference.jobs.v1"
    )
    assert concerned(alert(on="price_held", subject="x"), rule) is None


def test_words_of_others_stay_text_and_what_is_no_alert_is_passed_over(world):
    tell(world, alert(subject=HOSTILE, message=HOSTILE, unit=HOSTILE, second=4))
    world.wrote(Outgoing(ALERTS.name, b"x", b'{"alert_id": "x", "rule": 3}', partition=1))
    world.wrote(Outgoing(ALERTS.name, b"x", b"nonsense", partition=1))
    assert world.get("/alerts").is_safe
    assert len(world.client.get("/api/alerts").json()["past"]) == 1
