"""Tells the reader of a body that its connection is gone, when aiohttp does not.

aiohttp 3.14 closes the connection when the bytes between the chunks of a body are garbage, and forgets to wake
who reads that body: its C parser drops the body before it raises, and the read timeout is dropped with it. Only
the deadline would end such a call. A contract test shows the case; when it passes without this module, it may go.
"""

import asyncio

import aiohttp

from runtime.http.exchange import Exchange


class ConnectionWatch:
    """Fails `answer`'s body if its connection ends and the body has neither ended nor failed.

    Holds the body's stream and not the body, so that a body nobody closed can still be collected.
    """

    def __init__(self, answer: Exchange | aiohttp.ClientResponse) -> None:
        self._content = answer.content
        self._closed: asyncio.Future[None] | None = None
        connection = answer.connection
        if connection is None or connection.protocol is None:
            return  # the body is here already, and the connection is back in the pool
        self._closed = connection.protocol.closed
        if self._closed is None:
            self._fail()
        else:
            self._closed.add_done_callback(self._lost)

    def stop(self) -> None:
        """The body is done with; the connection may serve others. A second call does nothing."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed.remove_done_callback(self._lost)
            # Whoever asked for this future must look at its exception, or asyncio logs it when it is collected.
            # A connection serves many bodies: one callback for all of them.
            closed.remove_done_callback(_seen)
            closed.add_done_callback(_seen)

    def _lost(self, closed: "asyncio.Future[None]") -> None:
        # Called in a later turn of the loop than the loss, when aiohttp has said what it has to say.
        _seen(closed)
        self._fail()

    def _fail(self) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError("the connection ended within the body"))


def _seen(closed: "asyncio.Future[None]") -> None:
    if not closed.cancelled():
        closed.exception()
