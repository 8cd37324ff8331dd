"""How a command ends: one table, printed by `novix --help` and kept by every command."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `novix`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_MET = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILED: "it was tried and failed: a job that did not succeed, a line that was refused, a process that is ill",
    Exit.USAGE: "bad settings or usage; the message names the variable or option, the value and what is allowed",
    Exit.NOT_MET: "not met in time, not known, or nothing runs",
    Exit.UNREACHABLE: "Kafka cannot be reached; the message names the address and where it came from",
    Exit.INTERRUPTED: "interrupted by the keyboard",
}


class CommandError(Exception):
    """A command cannot go on: one line for the person (more lines: advice), and the exit code."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
