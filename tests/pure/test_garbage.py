"""Kafka clients that were thrown away are collected by their number, not by what else the process allocates."""

import gc
import weakref

from runtime.garbage import Discarded


class Client:
    """Holds itself, as aiokafka's do."""

    def __init__(self) -> None:
        self.itself = self


def test_the_garbage_is_collected_once_so_many_clients_were_thrown_away():
    threshold = gc.get_threshold()
    gc.set_threshold(1_000_000)
    try:
        discarded, gone = Discarded(3), weakref.ref(Client())
        discarded.client()
        discarded.client()
        assert gone() is not None
        discarded.client()
        assert gone() is None

        gone = weakref.ref(Client())
        discarded.client()
        assert gone() is not None, "counted from none again"
    finally:
        gc.set_threshold(*threshold)


def test_a_process_that_collects_no_garbage_is_left_alone():
    gc.disable()
    try:
        discarded, gone = Discarded(1), weakref.ref(Client())
        discarded.client()
        assert gone() is not None
    finally:
        gc.enable()
