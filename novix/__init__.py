"""Novix for Python programs: publish inference jobs to Kafka, await and stream their results.

    from novix import Client

    async with Client() as client:
        messages = [{"role": "user", "content": "Hi"}]
        result = await client.run({"task": "chat-completion", "input": {"messages": messages}})
        print(result["status"], result["output"])

Knows only the wire contract (plain JSON); needs aiokafka and nothing else of Novix.
"""

from novix.client import CancelNotPublished, Client, JobNotPublished, NoResult
from novix.connection import Connection

__all__ = ["CancelNotPublished", "Client", "Connection", "JobNotPublished", "NoResult"]
