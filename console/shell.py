"""Around every command: settings are loaded, faults become one line and an exit code."""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from runtime.settings import BadSettings, Loaded, load

P = ParamSpec("P")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def command(work: Callable[P, Exit]) -> Callable[P, None]:
    """Make `work` a command: what it returns or raises decides how the process ends (see `console.exits`)."""

    @functools.wraps(work)
    def interruptible(*args: P.args, **kwargs: P.kwargs) -> Exit:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see `console.start`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return work(*args, **kwargs)

    return service(interruptible)


def service(work: Callable[P, Exit]) -> Callable[P, None]:
    """Make `work` a command that serves until it is told to stop, and sets handlers of its own for that: until it has,
    an interrupt ends the process."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(_code(lambda: work(*args, **kwargs)))

    return run


def _code(work: Callable[[], Exit]) -> int:
    try:
        return int(work())
    except BadSettings as error:
        return _failed(str(error), Exit.USAGE)
    except CommandError as error:
        return _failed(str(error), error.code)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # Who read our output has seen enough (`| head`); the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.OK)


def _failed(message: str, code: Exit) -> int:
    Screen().note(f"novix: {message}")
    return int(code)


def settings() -> Loaded:
    """The settings of this command. Raises `BadSettings`; misspelt variables are told on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    loaded = load()
    for name in loaded.unknown:
        Screen().note(f"novix: {name} is set, but no setting has this name (see: novix config show)")
    return loaded
