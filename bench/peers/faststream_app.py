"""A FastStream handler with httpx, as its documentation writes one: a job in, one POST, a result out.

`python -m bench.peers.faststream_app BOOTSTRAP SOURCE SINK URL MODE N`. Modes: `first` is what one gets without a
setting (one message at a time, the offset committed by a timer, each message logged); `workers` has `max_workers=N`,
which FastStream allows with that early commit only; `ack` commits after the handler (`AckPolicy.ACK`), which means
one consumer, and so one call, for each partition.
"""

import sys
from typing import Any

import httpx
import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaResponse

PATIENCE_S = 60
"""httpx's own 5 s would give up the slow calls."""


def application(bootstrap: str, source: str, sink: str, url: str, mode: str, workers: int) -> FastStream:
    """The application; `mode` and `workers` as above."""
    policy = AckPolicy.ACK if mode == "ack" else AckPolicy.ACK_FIRST  # the latter is what one gets without a setting
    if mode == "first":
        broker, client = KafkaBroker(bootstrap), httpx.AsyncClient(timeout=PATIENCE_S)
    else:  # at its best: no line for each message, a connection for each call
        broker = KafkaBroker(bootstrap, logger=None)
        client = httpx.AsyncClient(
            timeout=PATIENCE_S, limits=httpx.Limits(max_connections=None, max_keepalive_connections=None)
        )

    @broker.subscriber(
        source, group_id=f"faststream-{source}", auto_offset_reset="earliest", ack_policy=policy, max_workers=workers
    )
    @broker.publisher(sink)
    async def handle(job: dict[str, Any], message: KafkaMessage) -> KafkaResponse:
        answer = await client.post(url, json={"model": job["model"], **job["input"]})
        result = {"job_id": job["id"], "status": "succeeded", "output": answer.json()}
        raw = message.raw_message
        return KafkaResponse(result, key=None if isinstance(raw, tuple) else raw.key)

    return FastStream(broker)


if __name__ == "__main__":
    where, of, to, at, how, most = sys.argv[1:]
    uvloop.run(application(where, of, to, at, how, int(most)).run())
