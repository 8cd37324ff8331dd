"""The answers of a broker that refuses: a client reads the refusal from them, for each partition it asked for."""

import struct

from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.transaction import EndTxnRequest_v0, EndTxnResponse_v0
from refusal import refusal


def framed(request, correlation: int) -> bytes:
    return struct.pack(">hhih3s", request.API_KEY, request.API_VERSION, correlation, 3, b"one") + request.encode()


def test_each_partition_of_a_refused_produce_request_bears_the_code():
    asked = ProduceRequest_v7("lane", -1, 1_000, [("a", [(0, b"x"), (2, b"y")]), ("b", [(1, b"z")])])
    answer = refusal(framed(asked, 77), 6)

    assert struct.unpack_from(">i", answer) == (77,)
    told = ProduceResponse_v7.decode(answer[4:])
    codes = {(topic, one[0]): one[1] for topic, partitions in told.topics for one in partitions}
    assert codes == {("a", 0): 6, ("a", 2): 6, ("b", 1): 6}


def test_a_request_without_partitions_is_refused_as_a_whole():
    told = EndTxnResponse_v0.decode(refusal(framed(EndTxnRequest_v0("lane", 5, 0, True), 1), 16)[4:])

    assert told.error_code == 16
