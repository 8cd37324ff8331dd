"""Server-sent events, read from bytes that may be cut anywhere.

Follows the event stream interpretation of the HTML standard (section 9.2.6), with two differences that the
providers behind Hugging Face's router ask for: `data` stays bytes, so that a decoder of JSON sees what was
sent and no replacement characters; and `end` gives the last event even if no empty line closed it, because
some servers leave it out. `[DONE]` is an event like any other: what it means is the dialect's affair.
"""

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"


class SseLimitError(ValueError):
    """A line or an event is longer than allowed. The stream cannot be followed any further."""

    def __init__(self, what: str, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(f"{what} of the event stream has {size_bytes} bytes or more; it may have {limit_bytes}")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event: its `data` lines joined by LF, and its type (`message` unless an `event:` line says so)."""

    data: bytes
    event: str = "message"
    id: str = ""
    """The last event id seen so far in the stream."""


class SseParser:
    """Turns the chunks of one response into events: the same ones wherever the bytes are cut. No I/O.

    Holds at most one line and the data of one event: `max_line_bytes` and `max_event_bytes`.
    """

    def __init__(self, *, max_line_bytes: int = 1_048_576, max_event_bytes: int = 4_194_304) -> None:
        self._max_line = max_line_bytes
        self._max_event = max_event_bytes
        self._partial = bytearray()
        self._at_start = True
        self._after_cr = False
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = ""
        self._id = ""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes and give the events that they complete. Raises `SseLimitError`."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:  # the CR has ended the line already
                chunk = chunk[1:]
        if not chunk:
            return []
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        self._partial += chunk
        lines = bytes(self._partial).splitlines(keepends=True)
        self._partial.clear()
        if lines[-1][-1:] not in (b"\n", b"\r"):
            self._keep(lines.pop())
        self._after_cr = chunk.endswith(b"\r")
        return [event for line in lines if (event := self._line(line.rstrip(b"\r\n"))) is not None]

    @property
    def held_bytes(self) -> int:
        """Of the line and the event that are not whole yet."""
        return len(self._partial) + self._data_bytes

    def end(self) -> list[SseEvent]:
        """Give what the end of the stream completes. Call it only when the body arrived whole."""
        rest = bytes(self._partial)
        self._partial.clear()
        events = [self._line(rest)] if rest else []
        events.append(self._line(b""))
        return [event for event in events if event is not None]

    def _keep(self, part: bytes) -> None:
        self._partial += part
        self._check("a line", len(self._partial), self._max_line)

    def _line(self, line: bytes) -> SseEvent | None:
        self._check("a line", len(line), self._max_line)
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        self._field(name, value.removeprefix(b" "))
        return None

    def _field(self, name: bytes, value: bytes) -> None:
        """A comment has an empty name; it and the names that nobody defined are passed over, `retry` too."""
        if name == b"data":
            self._data_bytes += len(value) + 1
            self._check("an event", self._data_bytes, self._max_event)
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")

    def _dispatch(self) -> SseEvent | None:
        data, event = self._data, self._event
        self._data, self._data_bytes, self._event = [], 0, ""
        return SseEvent(b"\n".join(data), event or "message", self._id) if data else None

    @staticmethod
    def _check(what: str, size: int, limit: int) -> None:
        if size > limit:
            raise SseLimitError(what, size, limit)
