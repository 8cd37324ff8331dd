"""What the simulated Kafka does with requests: the rules of Apache Kafka that no client of ours can show by itself."""

import pytest
from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    InvalidTxnState,
    MessageSizeTooLargeError,
    OffsetMetadataTooLargeError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceNumber,
)
from sim_broker import IN, LANE, OUT, a_broker, answered, fetched, message, opened, texts, wait, write


def test_a_transaction_is_seen_when_its_marker_is_written_and_its_marker_takes_an_offset() -> None:
    broker = a_broker()
    producer = opened(broker)
    write(broker, producer, "a", 0)

    assert texts(fetched(broker).records) == []
    assert texts(fetched(broker, committed=False).records) == ["a"]
    broker.end_transaction(LANE, *producer, True)
    assert texts(fetched(broker).records) == ["a"]
    assert fetched(broker).next_offset == broker.list_offsets(OUT, "latest", committed=True) == 2


def test_what_is_written_behind_an_open_transaction_waits_for_it() -> None:
    broker = a_broker()
    producer = opened(broker)
    write(broker, producer, "open", 0)
    broker.produce(OUT, [message("plain")])

    assert fetched(broker).records == []
    assert broker.list_offsets(OUT, "latest", committed=True) == 0
    broker.end_transaction(LANE, *producer, False)
    found = fetched(broker)
    assert (texts(found.records), found.next_offset) == (["plain"], 3)
    wait(broker, 1)
    assert fetched(broker, 3).next_offset == 3
    assert texts(broker.raw(OUT)) == ["plain"]


def test_a_successor_ends_what_its_predecessor_left_open_and_fences_it() -> None:
    broker = a_broker()
    zombie = opened(broker)
    write(broker, zombie, "z", 0)
    heir = opened(broker)

    assert heir == (zombie[0], zombie[1] + 2)
    assert texts(fetched(broker, committed=False).records) == ["z"]
    for forbidden in (
        lambda: broker.add_partitions(LANE, *zombie, [OUT]),
        lambda: broker.produce(OUT, [message("late")], (*zombie, 1), LANE),
        lambda: broker.produce(("out", 1), [message("late")], (*zombie, 0), LANE),
        lambda: broker.commit_offsets_in_transaction(LANE, *zombie, "g", {IN: (1, "")}),
        lambda: broker.end_transaction(LANE, *zombie, True),
    ):
        with pytest.raises(InvalidProducerEpoch):
            forbidden()
    write(broker, heir, "h", 0)
    broker.end_transaction(LANE, *heir, True)
    wait(broker, 1)
    assert texts(broker.raw(OUT)) == ["h"]


def test_an_end_that_comes_late_ends_the_next_transaction() -> None:
    """As measured on Apache Kafka: the first record of the second transaction is committed without its second."""
    broker = a_broker()
    producer = opened(broker)
    write(broker, producer, "one", 0)
    broker.end_transaction(LANE, *producer, True)
    wait(broker, 1)
    broker.end_transaction(LANE, *producer, True)  # once more while none is open: no harm
    write(broker, producer, "two a", 1)
    broker.end_transaction(LANE, *producer, True)  # the late one
    wait(broker, 1)

    assert texts(broker.raw(OUT)) == ["one", "two a"]
    with pytest.raises(InvalidTxnState):
        broker.produce(OUT, [message("two b")], (*producer, 2), LANE)


def test_the_next_transaction_waits_for_the_markers_of_the_last() -> None:
    broker = a_broker()
    producer = opened(broker)
    write(broker, producer, "a", 0)
    broker.end_transaction(LANE, *producer, True)

    with pytest.raises(ConcurrentTransactions):
        broker.add_partitions(LANE, *producer, [OUT])
    with pytest.raises(ConcurrentTransactions):
        broker.init_producer_id(LANE, 10)
    with pytest.raises(InvalidTxnState):
        broker.end_transaction(LANE, *producer, False)


def test_offsets_are_stale_until_their_marker_is_written() -> None:
    broker = a_broker()
    producer = opened(broker)
    broker.add_offsets(LANE, *producer, "g")
    broker.commit_offsets_in_transaction(LANE, *producer, "g", {IN: (5, "m")})
    broker.end_transaction(LANE, *producer, True)

    assert broker.fetch_offsets("g", [IN]) == {IN: (-1, "")}
    wait(broker, 1)
    assert broker.fetch_offsets("g", [IN]) == {IN: (5, "m")}
    assert [(commit.part, commit.offset, commit.by) for commit in broker.commits] == [(IN, 5, LANE)]


def test_offsets_of_an_aborted_transaction_are_nobodys_and_going_back_is_told() -> None:
    broker = a_broker()
    for offset, commit in ((5, True), (9, False), (3, True)):
        producer = opened(broker)
        broker.add_offsets(LANE, *producer, "g")
        broker.commit_offsets_in_transaction(LANE, *producer, "g", {IN: (offset, "")})
        broker.end_transaction(LANE, *producer, commit)
        wait(broker, 1)
    assert broker.committed("g") == {IN: (3, "")}
    assert len(broker.machine.kernel.complaints) == 1
    assert "back from 5 to 3" in broker.machine.kernel.complaints[0]


def test_nothing_is_written_to_a_transaction_that_it_was_not_added_to() -> None:
    broker = a_broker()
    producer = opened(broker)
    write(broker, producer, "a", 0)
    with pytest.raises(InvalidTxnState):
        broker.produce(("out", 1), [message("b")], (*producer, 0), LANE)
    with pytest.raises(InvalidTxnState):
        broker.commit_offsets_in_transaction(LANE, *producer, "g", {IN: (1, "")})


def test_a_transaction_past_its_timeout_is_aborted_and_its_producer_fenced() -> None:
    broker = a_broker()
    producer = opened(broker)
    write(broker, producer, "a", 0)
    wait(broker, 12)

    assert fetched(broker).next_offset == 2
    with pytest.raises(InvalidProducerEpoch):
        broker.end_transaction(LANE, *producer, True)


def test_a_batch_that_comes_twice_is_written_once_and_a_gap_is_refused() -> None:
    broker = a_broker()
    producer = broker.init_producer_id(None, 10)
    first = broker.produce(OUT, [message("a"), message("b")], (*producer, 0))

    assert broker.produce(OUT, [message("a"), message("b")], (*producer, 0)) == first == 0
    with pytest.raises(OutOfOrderSequenceNumber):
        broker.produce(OUT, [message("d")], (*producer, 3))
    assert broker.produce(OUT, [message("c")], (*producer, 2)) == 2
    assert broker.logs[OUT].end == 3


def test_what_is_too_large_is_refused_as_a_batch_and_metadata_by_its_characters() -> None:
    broker = a_broker()
    broker.create_topic("small", 1, limit_bytes=1_000)
    with pytest.raises(MessageSizeTooLargeError):
        broker.produce(("small", 0), [message("x" * 300), message("y" * 300)])
    broker.produce(("small", 0), [message("x" * 300)])

    producer = opened(broker)
    broker.add_offsets(LANE, *producer, "g")
    broker.commit_offsets_in_transaction(LANE, *producer, "g", {IN: (1, "\u00e9" * 4_096)})
    with pytest.raises(OffsetMetadataTooLargeError):
        broker.commit_offsets_in_transaction(LANE, *producer, "g", {IN: (1, "x" * 4_097)})


def test_a_fetch_waits_for_what_it_may_see_and_one_record_is_always_handed_out() -> None:
    broker = a_broker()
    waiting = broker.fetch({OUT: 0, ("out", 1): 0}, committed=True, max_wait_s=30)
    producer = opened(broker)
    write(broker, producer, "a", 0)
    assert not waiting.done
    broker.end_transaction(LANE, *producer, True)
    wait(broker, 1)
    found = answered(waiting)
    assert texts(found[OUT].records) == ["a"]
    assert found["out", 1].records == []

    broker.produce(OUT, [message("b" * 50), message("c" * 50)])
    assert texts(fetched(broker, 2, max_bytes=1).records) == ["b" * 50]


def test_outside_of_the_log_there_is_nothing_to_fetch() -> None:
    broker = a_broker()
    broker.produce(OUT, [message(str(number), timestamp=number * 10) for number in range(5)])
    waiting = broker.fetch({OUT: 5}, committed=True, max_wait_s=30)
    assert broker.list_offsets(OUT, 25, committed=True) == 3
    assert broker.list_offsets(OUT, 41, committed=True) == -1
    broker.delete_records("out", 0, 3)

    assert not isinstance(answered(waiting)[OUT].error, OffsetOutOfRangeError)
    assert isinstance(fetched(broker, 2).error, OffsetOutOfRangeError)
    assert isinstance(fetched(broker, 6).error, OffsetOutOfRangeError)
    assert texts(fetched(broker, 3).records) == ["3", "4"]
    assert broker.list_offsets(OUT, "earliest", committed=True) == 3
    assert len(broker.raw(OUT)) == 5


def test_a_kill_loses_nothing_and_a_power_cut_all_of_the_last_moments_together() -> None:
    broker = a_broker(load_s=0.0)
    producer = opened(broker)
    for offset, text in ((1, "kept"), (2, "lost")):
        write(broker, producer, text, offset - 1)
        broker.add_offsets(LANE, *producer, "g")
        broker.commit_offsets_in_transaction(LANE, *producer, "g", {IN: (offset, "")})
        broker.end_transaction(LANE, *producer, True)
        wait(broker, 1)
    write(broker, producer, "open", 2)
    broker.crash()
    broker.start()
    assert texts(broker.raw(OUT)) == ["kept", "lost"]
    assert broker.logs[OUT].stable == 4
    broker.crash(lose_s=1.5)
    broker.start()

    assert texts(broker.raw(OUT)) == ["kept"]
    assert broker.committed("g") == {IN: (1, "")}
    assert [commit.offset for commit in broker.commits] == [1]
    write(broker, producer, "again", 1)
    broker.end_transaction(LANE, *producer, True)
    wait(broker, 1)
    assert texts(broker.raw(OUT)) == ["kept", "again"]


def test_a_broker_that_dies_before_the_markers_writes_them_when_it_is_back() -> None:
    broker = a_broker(load_s=0.0)
    producer = opened(broker)
    write(broker, producer, "a", 0)
    broker.end_transaction(LANE, *producer, True)
    broker.crash()
    wait(broker, 5)
    assert broker.logs[OUT].stable == 0
    broker.start()
    wait(broker, 1)
    assert texts(broker.raw(OUT)) == ["a"]


def test_a_stamped_topic_has_the_brokers_time_whatever_its_writer_says() -> None:
    broker = a_broker()
    broker.create_topic("history", 1, stamped=True)
    for topic in ("history", "out"):
        broker.produce((topic, 0), [message("dated back", timestamp=1)])
    times = [
        broker.logs[topic, 0].read(0, committed=False, max_bytes=1_000).records[0].timestamp
        for topic in ("history", "out")
    ]
    assert times[0] > 1_000_000_000_000
    assert times[1] == 1
