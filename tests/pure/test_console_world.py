"""What `novix up` starts, and what it leaves to the user's own settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.exits import CommandError, Exit
from console.world import (
    SANDBOX_TOKEN,
    hf_variables,
    plan,
    process_order,
    restart_delay_s,
    services,
    workers,
)
from runtime.settings import resolve

URL = "http://127.0.0.1:12345"
PORTS = {"router": 1, "worker": 2, "console": 3, "alerts": 4, "audit": 5, "hub-sync": 6, "endpoints": 7}


def settings(**environment):
    return resolve(environment, {}, {})


def test_without_settings_everything_is_started_here():
    assert (plan(settings(), "auto").local_broker, plan(settings(), "auto").local_hf) == (True, True)


def test_what_the_user_names_is_not_started_here():
    own = settings(NOVIX_KAFKA_BOOTSTRAP="kafka:9092", NOVIX_HF_ROUTER_URL="http://127.0.0.1:9/v1")

    assert (plan(own, "auto").local_broker, plan(own, "auto").local_hf) == (False, False)


def test_what_an_earlier_world_wrote_is_nobodys_wish():
    stale = resolve({}, {}, {"NOVIX_KAFKA_BOOTSTRAP": "127.0.0.1:1", "NOVIX_HF_ROUTER_URL": "http://127.0.0.1:2"})

    assert (plan(stale, "auto").local_broker, plan(stale, "auto").local_hf) == (True, True)


def test_the_real_hugging_face_wants_a_token():
    with pytest.raises(CommandError, match="HF_TOKEN") as refusal:
        plan(settings(), "real")

    assert refusal.value.code == Exit.USAGE
    assert not plan(settings(HF_TOKEN="hf_x"), "real").local_hf
    assert not plan(settings(NOVIX_HF_TOKEN_FILE="/run/token"), "real").local_hf


def test_a_local_hugging_face_beside_a_named_one_is_a_contradiction():
    with pytest.raises(CommandError, match="NOVIX_HF_ROUTER_URL"):
        plan(settings(NOVIX_HF_ROUTER_URL="http://127.0.0.1:9"), "local")


def test_everything_is_pointed_at_the_local_hugging_face_except_what_the_user_named():
    offered = hf_variables(URL, settings())
    assert offered == {
        "NOVIX_HF_ROUTER_URL": URL,
        "NOVIX_HF_HUB_URL": URL,
        "NOVIX_SANDBOX_URL": URL,
        "NOVIX_ENDPOINTS_URL": URL,
        "NOVIX_HF_TOKEN": SANDBOX_TOKEN,
    }

    kept = hf_variables(URL, settings(HF_TOKEN="hf_own", NOVIX_HF_HUB_URL="http://hub"))
    assert kept == {"NOVIX_HF_ROUTER_URL": URL, "NOVIX_SANDBOX_URL": URL, "NOVIX_ENDPOINTS_URL": URL}


def test_no_secret_is_on_a_command_line_or_among_the_shared_variables(tmp_path):
    own = settings(HF_TOKEN="hf_canary", NOVIX_KAFKA_PASSWORD="pw_canary", NOVIX_HOME=str(tmp_path))
    shared = hf_variables(URL, own)

    told = repr(
        [service.command + list(service.environment.items()) for service in services(tmp_path, own, PORTS, shared)]
    )

    assert "canary" not in told


def test_router_comes_before_worker_and_each_can_be_told_from_its_command_line(tmp_path):
    started = services(tmp_path, settings(), PORTS, {})

    assert [service.name for service in started] == [
        "router",
        "worker",
        "console",
        "alerts",
        "audit",
        "hub-sync",
        "endpoints",
    ]
    assert all(service.mark in service.command for service in started)
    assert len({service.mark for service in started}) == 7
    assert started[0].environment["NOVIX_HEALTH_PORT"] == "1"


def test_one_worker_process_does_all_modalities_unless_each_shall_have_its_own(tmp_path):
    (one,) = (service for service in services(tmp_path, settings(), PORTS, {}) if "worker" in service.name)
    assert one.command[-5:] == ["worker", "text", "image", "audio", "multimodal"]

    ports = {name: number for number, name in enumerate([*PORTS, *workers("each")])}
    each = services(tmp_path, settings(), ports, {}, "each")
    named = [service.name for service in each]
    assert named == [
        "router",
        "worker-text",
        "worker-image",
        "worker-audio",
        "worker-multimodal",
        "console",
        "alerts",
        "audit",
        "hub-sync",
        "endpoints",
    ]
    assert [service.command[-1] for service in each[1:5]] == ["text", "image", "audio", "multimodal"]
    assert len({service.port for service in each}) == 10


ORDER = ["broker", "hugging-face", "router", "worker", "worker-text", "worker-audio", "console", "alerts", "audit"]


@given(st.permutations(ORDER))
def test_processes_are_told_in_the_order_of_their_start(names):
    assert process_order(names) == ORDER


def test_a_worker_gets_the_time_that_it_may_drain_and_some_more(tmp_path):
    worker = services(tmp_path, settings(NOVIX_DRAIN_S="50"), PORTS, {})[1]

    assert worker.stop_s > 50


@given(st.integers(0, 10_000))
def test_restarts_are_quick_at_first_and_never_slower_than_ten_seconds(deaths):
    assert 0.2 <= restart_delay_s(deaths) <= restart_delay_s(deaths + 1) <= 10
    assert restart_delay_s(0) == 0.2
