"""A connection that ends when its server answers without end before it answers.

Interim answers (103 and the like) are read between a request and its answer. aiohttp takes any number of them, parses
as many as the socket holds at once (libuv reads 8 MB in one turn of the loop, which is 2 s of parsing), and keeps them.
"""

import asyncio
import functools
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_ANSWERS = 64
"""To one request, the final one among them; each may carry links, and honest servers send one or two."""


class GuardedHandler(ResponseHandler):
    """aiohttp's side of a connection; at most `MAX_ANSWERS` heads may come for one request."""

    _answers = 0

    def set_response_params(self, **params: Any) -> None:
        """A request is about to go out: its answers are counted anew."""
        self._answers = 0
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """One more head has come. Past the limit it is dropped, the connection closed and its reader told."""
        self._answers += 1
        if self._answers <= MAX_ANSWERS:
            super().feed_data(data, size)
        elif self.exception() is None:
            self.set_exception(aiohttp.ServerDisconnectedError(f"more than {MAX_ANSWERS} answers to one request"))
            if self.transport is not None:
                self.transport.close()


def guarded(connector: aiohttp.BaseConnector) -> aiohttp.BaseConnector:
    """`connector`, whose connections are guarded. There is no public way; a contract test fails when this one goes."""
    connector._factory = functools.partial(GuardedHandler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
    return connector
