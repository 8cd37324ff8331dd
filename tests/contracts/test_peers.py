"""What the bench says of FastStream is what this FastStream does with those settings."""

import pytest
from faststream.kafka.subscriber import usecase
from faststream.middlewares import AckPolicy

from bench.peers.competitors import PYTHON, Task
from bench.peers.faststream_app import application


@pytest.mark.parametrize(
    ("mode", "workers", "kind", "early"),
    [
        ("first", 1, usecase.DefaultSubscriber, True),
        ("workers", 256, usecase.ConcurrentDefaultSubscriber, True),
        ("ack", 6, usecase.ConcurrentBetweenPartitionsSubscriber, False),
    ],
)
def test_many_calls_at_once_come_with_the_early_commit_and_the_late_commit_with_one_call_a_partition(
    mode, workers, kind, early
):
    app = application("127.0.0.1:1", "jobs", "results", "http://127.0.0.1:1", mode, workers)

    [subscriber] = app.broker.subscribers
    assert type(subscriber) is kind
    assert (subscriber.ack_policy is AckPolicy.ACK_FIRST) is early


def test_each_python_competitor_is_started_by_a_command_that_names_its_topics_and_its_window():
    task = Task("broker:1", "x.jobs", "x.results", "http://provider", 256, {"NOVIX_MAX_IN_FLIGHT": "256"})

    for one in PYTHON:
        for told, more in one.commands(task):
            words = [*told, *more.values()]
            assert one.ours or {"x.jobs", "x.results"} <= set(words), one.name
            assert str(one.at_once(256)) in words, one.name
