"""Where `novix` begins, with as few imports as can be."""

import signal


def main() -> None:
    """The console script. An interrupt (SIGINT, Ctrl-C) ends the process at once until a command has begun; see
    `console.shell`, which lets commands catch it, and `runtime.shell`, where a service drains.

    As a KeyboardInterrupt it could be lost: Python throws one away that comes up in a callback of its import machinery,
    and a service that was told to stop while it started would run on.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else who started us has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from console.cli import main as command_line

    command_line()
