"""What Live asks for: not oftener than it says, by many askers once, and each part for itself."""

import asyncio
import json
import os
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from console.exits import CommandError
from console.live.reader import LOOK_EVERY_S, LiveReader, _Now
from runtime.settings import Settings
from sandbox.kafka.process import free_port

HEALTH = {"healthy": False, "pid": 7, "lanes": [{"lane": "g.t.0", "state": "stuck", "reason": "no commit"}]}


class Hands:
    """A clock that is turned by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def process():
    """A process that answers 503 with its state; its address."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(HEALTH).encode()
            self.send_response(503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/healthz"
    server.shutdown()
    server.server_close()


async def test_many_who_look_at_once_ask_once_and_again_only_after_a_while():
    clock, asked = Hands(), []

    async def ask():
        asked.append(clock.now)
        await asyncio.sleep(0)
        return len(asked)

    now = _Now(ask, LOOK_EVERY_S, clock)
    assert {told.value for told in await asyncio.gather(*(now.get() for _ in range(50)))} == {1}
    clock.now += LOOK_EVERY_S - 0.1
    assert (await now.get()).value == 1
    clock.now += 0.2
    assert (await now.get()).value == 2


async def test_a_question_that_fails_is_told_and_not_put_again_at_once():
    clock, asked = Hands(), []

    async def ask():
        asked.append(1)
        raise [CommandError("the topic is not there"), TimeoutError(), ConnectionError("hunter2")][len(asked) - 1]

    now = _Now(ask, LOOK_EVERY_S, clock)
    told = []
    for _ in range(3):
        first, again = await now.get(), await now.get()
        assert first is again
        told.append(first.fault)
        clock.now += LOOK_EVERY_S
    assert told == [
        "the topic is not there",
        "Kafka gives no answer in time",
        "Kafka cannot be asked: ConnectionError",
    ]


async def test_without_brokers_the_processes_are_told_all_the_same(tmp_path, process):
    port = free_port("127.0.0.1", random.Random(4))
    settings = Settings(
        kafka_bootstrap=f"127.0.0.1:{port}", home=tmp_path,
        console_processes=f"worker={process},gone=http://127.0.0.1:{port}/healthz",
    )  # fmt: skip
    live = LiveReader(settings, lambda: {"process": "console", "pid": os.getpid(), "healthy": True})
    try:
        brokers, processes, budgets = await asyncio.gather(live.brokers(), live.processes(), live.budgets())
    finally:
        await live.close()

    assert brokers.value is None
    assert brokers.fault.startswith("Kafka ")
    assert budgets.fault.startswith("Kafka ")
    assert processes.value is not None
    worker, gone = processes.value
    assert (worker.name, worker.well, worker.pid) == ("worker", False, 7)
    assert worker.why_not == ("lane g.t.0 is stuck: no commit",)
    assert (gone.well, gone.running, gone.why_not) == (None, False, ("it does not answer /healthz",))
