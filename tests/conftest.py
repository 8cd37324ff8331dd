"""What tests of several folders share. Nothing here starts before a test asks for it."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest
import structlog
from s3_server import S3Server, s3_server

from sandbox.fetch import FetchError
from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.container import ContainerBroker, NoEngineError, engine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHOICE = "NOVIX_TEST_BROKER"
NOT_RUN = pytest.StashKey[dict[str, str]]()
"""Rung of the ladder of brokers, `s3` or `browser` -> why it could not run."""


class Broker(Protocol):
    """A Kafka that serves."""

    @property
    def bootstrap(self) -> str:
        """`host:port`."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A Kafka that somebody else runs."""

    bootstrap: str


# A busy machine is no fault of the code: how long an example takes is for the bench to say.
# Each run takes the same examples, so that a change is judged by what it changes; NOVIX_FUZZ=1 looks for new ones.
hypothesis.settings.register_profile("novix", deadline=None, derandomize=not os.environ.get("NOVIX_FUZZ"))
hypothesis.settings.load_profile("novix")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_RUN] = {}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it puts into the background so, and each process of ours would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that runs in this process sets the logs up for itself; the next test's output is elsewhere."""
    before, loggers = structlog.get_config(), [logging.getLogger(name) for name in ("", "aiokafka", "asyncio")]
    levels = [one.level for one in loggers]
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)
    for one, level in zip(loggers, levels, strict=True):
        one.setLevel(level)


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's broker: `NOVIX_TEST_BROKER` is `local` (default), `container` or `HOST:PORT`.

    Shared: use topics of your own (`prefix`), and never stop it. A test that kills brokers starts its own.
    """
    choice = os.environ.get(CHOICE, "local")
    if choice == "local":
        # It keeps the topics of every test of the session: some three thousand partitions, in which 128 MB of heap end.
        local = LocalBroker(tmp_path_factory.mktemp("kafka"), say=teller(request.config), flags=("-Xmx512m",))
        local.start()
        yield local
        local.stop()
    elif choice == "container":
        container = started_container(request.config)
        yield container
        container.stop()
    elif re.fullmatch(r".+:\d+", choice):
        yield Elsewhere(choice)
    else:
        pytest.fail(f"{CHOICE}={choice}: allowed are local, container and HOST:PORT")


@pytest.fixture(scope="session")
def container_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The broker in a container, whatever `NOVIX_TEST_BROKER` says; skips, and tells, where no engine answers."""
    container = started_container(request.config)
    yield container
    container.stop()


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server for the session; skips, and tells, where it cannot be had. Shared: use a bucket of your own."""
    lifetime = ExitStack()
    try:
        server = lifetime.enter_context(s3_server(tmp_path_factory.mktemp("s3"), teller(request.config)))
    except FetchError as error:
        request.config.stash[NOT_RUN]["s3"] = str(error)
        pytest.skip(f"rung s3: {error}")
    with lifetime:
        yield server


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A headless Chromium; skips, and tells, where none is installed.

    For one file at a time: Playwright's loop runs in the thread that started it; no asyncio test can run beside it.
    """
    import browser

    lifetime = ExitStack()
    try:
        chromium = lifetime.enter_context(browser.launched())
    except browser.NoBrowser as error:
        request.config.stash[NOT_RUN]["browser"] = str(error)
        pytest.skip(f"rung browser: {error}")
    with lifetime:
        yield chromium


@pytest.fixture
def prefix() -> str:
    """A topic prefix that no other test has."""
    return f"t-{secrets.token_hex(4)}."


def teller(config: pytest.Config) -> Callable[[str], None]:
    """Says a line on the terminal at once, capture or not: a download of 45 MB must not look like a hang."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        if reporter is None:  # one of several processes of pytest
            print(line, file=sys.__stderr__, flush=True)
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter.write_line(line)

    return say


def started_container(config: pytest.Config) -> ContainerBroker:
    try:
        engine()
    except NoEngineError as error:
        config.stash[NOT_RUN]["container"] = str(error)
        pytest.skip(f"rung container: {error}")
    container = ContainerBroker()
    container.start()
    return container


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A rung that could not run is said at the very end, where it is read."""
    if not_run := config.stash[NOT_RUN]:
        terminalreporter.section("rungs that did not run")
        for rung, why in not_run.items():
            terminalreporter.write_line(f"{rung}: {why}")
