"""What the broker and its JVM are told, and how what they say is read."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.fetch import default_cache, parse_lock
from sandbox.kafka.config import (
    SMALL,
    Detour,
    Ports,
    Security,
    Tls,
    argument_file,
    broker_properties,
    jvm_arguments,
    render_properties,
    storage_arguments,
)
from sandbox.kafka.container import container_environment
from sandbox.kafka.jars import parse_jars, pinned_jars
from sandbox.kafka.java import major, version_in_banner, version_in_release
from sandbox.kafka.process import PORTS

PORT = st.integers(1, 65_535)
TLS = Tls(Path("/d/tls/server.pem"), Path("/d/tls/ca.pem"))
WORD = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)


def java_properties(text: str) -> dict[str, str]:
    """Read as java.util.Properties does, as far as we write it: one per line, backslash escapes."""
    unescape = {"n": "\n", "r": "\r"}
    pairs = (line.split("=", 1) for line in text.split("\n") if line)
    return {name: re.sub(r"\\(.)", lambda m: unescape.get(m[1], m[1]), value) for name, value in pairs}


@given(client=PORT, controller=PORT)
def test_clients_are_sent_to_the_very_listener_that_is_open(client: int, controller: int):
    told = broker_properties(ports=Ports(client, controller), log_dir=Path("/d/log"))

    assert told["advertised.listeners"] == f"PLAINTEXT://127.0.0.1:{client}"
    assert told["advertised.listeners"] in told["listeners"].split(",")
    assert told["controller.quorum.voters"] == f"1@127.0.0.1:{controller}"
    assert told["inter.broker.listener.name"] in told["listener.security.protocol.map"]


def test_every_internal_topic_is_content_with_one_node():
    """A replication factor or min ISR above one would make the first group or transaction wait for ever."""
    replicas = {name: value for name, value in SMALL.items() if name.endswith((".replication.factor", ".min.isr"))}

    assert len(replicas) == 5
    assert set(replicas.values()) == {"1"}


def test_the_cleaner_fits_into_the_heap():
    """128 MiB, Kafka's default, does not, and the broker dies at start."""
    [heap] = [flag for flag in jvm_arguments("M", [], classpath=[]) if flag.startswith("-Xmx")]

    assert int(SMALL["log.cleaner.dedupe.buffer.size"]) < int(heap.removeprefix("-Xmx").removesuffix("m")) << 20


@given(st.dictionaries(WORD, st.text(st.characters(codec="ascii", exclude_categories=["Cc"]) | st.just("\n"))))
def test_a_properties_file_says_what_was_meant(properties: dict[str, str]):
    assert java_properties(render_properties(properties)) == properties


def test_a_comma_in_the_log_directory_is_refused_because_kafka_reads_two():
    with pytest.raises(ValueError, match=r"comma in log\.dirs as two folders: /data/a,b"):
        broker_properties(ports=Ports(1, 2), log_dir=Path("/data/a,b"))


def test_a_secured_broker_has_no_listener_for_clients_without_a_password():
    security = Security({"admin": "a-secret", "lane": "b-secret"})
    told = broker_properties(ports=Ports(9092, 9093), log_dir=Path("/d/log"), security=security, tls=TLS)

    names = [listener.split("://")[0] for listener in told["listeners"].split(",")]
    assert names == ["SASL_SSL", "CONTROLLER"]
    assert told["sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    assert told["authorizer.class.name"].endswith(".StandardAuthorizer")
    assert "allow.everyone.if.no.acl.found" not in told
    assert "User:admin" in told["super.users"]
    assert "lane" not in told["super.users"]


def test_security_without_certificates_is_refused():
    with pytest.raises(ValueError, match="go together"):
        broker_properties(ports=Ports(1, 2), log_dir=Path("/d"), security=Security({"admin": "x"}))


def test_security_never_shows_its_passwords():
    assert "hunter2" not in repr(Security({"admin": "hunter2"}))
    with pytest.raises(ValueError, match=r"'admin' \(9 characters\)") as refused:
        Security({"admin": 'hunter2",'})
    assert "hunter2" not in str(refused.value)


def test_security_needs_its_administrator():
    with pytest.raises(ValueError, match="no 'admin'"):
        Security({"lane": "x"})


@given(cluster=st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True), users=st.dictionaries(WORD, WORD, max_size=4))
def test_each_user_gets_a_credential_when_the_log_directory_is_formatted(cluster: str, users: dict[str, str]):
    """The id stays one word with its option: one that begins with a dash would be read as an option itself."""
    told = storage_arguments(Path("/d/p"), cluster, Security({**users, "admin": "pw"}))

    assert told[:2] == ["format", f"--cluster-id={cluster}"]
    credentials = [after for option, after in pairwise(told) if option == "--add-scram"]
    expected = {**users, "admin": "pw"}
    assert credentials == [f"SCRAM-SHA-512=[name={name},password={pw}]" for name, pw in expected.items()]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))))
def test_an_argument_file_carries_every_argument_whole(arguments: list[str]):
    lines = argument_file(arguments).split("\n")[:-1]

    assert [re.sub(r"\\(.)", r"\1", line[1:-1]) for line in lines] == arguments


def test_flags_of_one_run_win_over_ours_and_stand_before_the_main_class():
    told = jvm_arguments("Main", ["x"], classpath=[Path("/a.jar"), Path("/b.jar")], flags=["-Xmx64m"])

    assert told.index("-Xmx128m") < told.index("-Xmx64m") < told.index("-cp")
    assert told[-4:] == ["-cp", "/a.jar:/b.jar", "Main", "x"]


def test_a_container_is_told_the_same_in_the_images_own_form():
    told = container_environment(12_345)

    assert told["KAFKA_LISTENERS"].startswith("PLAINTEXT://0.0.0.0:12345,CONTROLLER://")
    assert told["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:12345"
    assert told["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == "1"
    assert len(told) == len(broker_properties(ports=Ports(1, 2), log_dir=Path("/d"))) + 1


def test_the_pinned_jars_are_one_kafka_and_each_is_there_once():
    jars = pinned_jars()

    names = [jar.path.name for jar in jars]
    assert len(set(names)) == len(names)
    assert jars[0].coordinate == ("org.apache.kafka", "kafka_2.13", "4.2.0")
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert {jar.coordinate[2] for jar in jars if jar.coordinate[0] == "org.apache.kafka"} == {"4.2.0"}
    assert any(jar.coordinate[1] == "log4j-slf4j-impl" for jar in jars), "without it the broker logs nothing"


def test_a_jars_line_gives_its_coordinate():
    [jar] = parse_jars("# a note\n\n" + "0" * 64 + "  com/github/luben/zstd-jni/1.5.6-10/zstd-jni-1.5.6-10.jar\n")

    assert jar.coordinate == ("com.github.luben", "zstd-jni", "1.5.6-10")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("17.0.15", 17), ("25", 25), ("21-ea", 21), ("1.8.0_402", 8), ("11.0.2", 11), ("", 0), ("openjdk", 0)],
)
def test_old_and_new_java_versions_are_told_apart(version: str, expected: int):
    assert major(version) == expected


def test_a_javas_version_is_read_from_its_release_file_or_its_banner():
    assert version_in_release('IMPLEMENTOR="X"\nJAVA_VERSION="17.0.15"\nMODULES="java.base"\n') == "17.0.15"
    assert version_in_release("nothing here") is None
    assert version_in_banner('openjdk version "17.0.15" 2025-04-15\nOpenJDK ...') == "17.0.15"
    assert version_in_banner("The operation couldn't be completed. Unable to locate a Java Runtime.") is None


def test_a_lock_file_pins_one_wheel_and_says_what_it_is():
    text = "# what: some weights\n# bytes: 1234567\nsome-data==1.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    lock = parse_lock(text)

    assert (lock.project, lock.version, lock.what, lock.size_bytes) == ("some-data", "1.2", "some weights", 1_234_567)
    with pytest.raises(ValueError, match="pins 2"):
        parse_lock(text + "another==1.0 --hash=sha256:cc\n")
    with pytest.raises(ValueError, match="# bytes:"):
        parse_lock("# what: some weights\nsome-data==1.2 --hash=sha256:aa\n")


def test_the_cache_is_where_the_user_says_or_in_the_home_folder():
    assert default_cache({"NOVIX_CACHE": "/big/novix"}) == Path("/big/novix")
    assert default_cache({}) == Path.home() / ".cache" / "novix"


def test_brokers_listen_below_the_ephemeral_ports_where_no_client_meets_itself():
    """Linux hands out 32768 and up, macOS and Windows 49152 and up; below 1024 one needs to be root."""
    assert PORTS.start >= 1_024
    assert PORTS[-1] < 32_768


def test_a_detour_is_a_second_listener_that_names_where_its_clients_come_through():
    told = broker_properties(ports=Ports(1, 2), log_dir=Path("/d"), detour=Detour(listen=3, advertised=4))

    assert told["listeners"].split(",")[-1] == "DETOUR://127.0.0.1:3"
    assert told["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1,DETOUR://127.0.0.1:4"
    assert told["listener.security.protocol.map"].split(",")[-1] == "DETOUR:PLAINTEXT"


def test_a_secured_broker_has_no_detour_around_its_passwords():
    with pytest.raises(ValueError, match="detour"):
        broker_properties(
            ports=Ports(1, 2), log_dir=Path("/d"), security=Security({"admin": "secret"}), tls=TLS, detour=Detour(3, 4)
        )
