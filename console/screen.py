"""What a command says, on a terminal, in a pipe, or in JSON. Answers go to stdout, everything else to stderr."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from console.words import shown, shown_json
from schemas import codec


class Bar(Protocol):
    """Progress of long work."""

    def advance(self, steps: int = 1, *, note: str = "") -> None: ...


class _Silent:
    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Nothing to show: no terminal, or JSON was asked for."""


class Screen:
    """One command's output."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @property
    def lively(self) -> bool:
        """Whether a person sees colours and bars: stderr is a terminal and JSON was not asked for."""
        return sys.stderr.isatty() and not self.as_json

    def answer(self, document: Any, lines: Sequence[str] = ()) -> None:
        """The command's result: `document` as JSON when asked, else `lines`."""
        if self.as_json:
            self.raw(codec.encode(document))
        else:
            for line in lines:
                self.line(line)

    def line(self, text: str) -> None:
        """One plain line on stdout. Whoever wrote the text, a terminal shows it and obeys none of it (`words.shown`);
        characters that the terminal's encoding lacks become `?`."""
        self.piece(text + "\n")

    def piece(self, text: str) -> None:
        """Part of a line, at once."""
        self._write(shown(text))

    def _write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()

    def raw(self, data: bytes) -> None:
        """JSON that is a whole line of output already, such as a record's value."""
        self._write(shown_json(data.decode("utf-8", "replace")) + "\n")

    def note(self, text: str) -> None:
        """Something by the way, on stderr."""
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table on a terminal, tab-separated lines elsewhere."""
        if not sys.stdout.isatty():
            for row in rows:
                self.line("\t".join(row))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))  # Text: brackets in a cell are no markup
        Console().print(table)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Bar]:
        """A bar on stderr while the block runs; nothing when no person looks."""
        if not self.lively:
            yield _Silent()
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(what, total=total, note="")

            class Rich:
                def advance(self, steps: int = 1, *, note: str = "") -> None:
                    bars.update(task, advance=steps)
                    if note:
                        bars.update(task, note=note)

            yield Rich()
