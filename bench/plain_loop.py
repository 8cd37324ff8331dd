"""What one would write in an afternoon: aiokafka in, one aiohttp call, one record out, the lowest offset each second.

At least once: a crash repeats calls and results. It knows no money, no trace, no retry. `bench/cpu.py`'s yardstick.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import aiohttp
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

IN_FLIGHT = int(os.environ.get("PLAIN_IN_FLIGHT", "256"))


async def main(bootstrap: str, source: str, sink: str, url: str) -> None:
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=f"plain-{source}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5)
    await consumer.start()
    await producer.start()
    slots = asyncio.Semaphore(IN_FLIGHT)
    running: dict[TopicPartition, set[int]] = {}
    reached: dict[TopicPartition, int] = {}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def work(session: aiohttp.ClientSession, record: Any, origin: TopicPartition) -> None:
        try:
            job = json.loads(record.value)
            body = {"model": job["model"], **job["input"]}
            async with session.post(url, json=body) as answer:
                output = await answer.json()
            result = {"job_id": job["id"], "status": "succeeded", "output": output}
            await producer.send(sink, json.dumps(result).encode(), key=record.key)
        finally:
            running[origin].discard(record.offset)
            slots.release()

    async def commit() -> None:
        while True:
            await asyncio.sleep(1)
            lowest = {origin: min(open_, default=reached[origin] + 1) for origin, open_ in running.items()}
            if lowest:
                await consumer.commit(lowest)

    tasks: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        committing = asyncio.create_task(commit())
        while not stop.is_set():
            for origin, records in (await consumer.getmany(timeout_ms=200, max_records=IN_FLIGHT)).items():
                for record in records:
                    await slots.acquire()
                    running.setdefault(origin, set()).add(record.offset)
                    reached[origin] = record.offset
                    task = asyncio.create_task(work(session, record, origin))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        committing.cancel()
    await producer.stop()
    await consumer.stop()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:5]))
