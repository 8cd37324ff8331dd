"""Who gives an order at this machine, for the audit."""

import getpass
import socket

LONGEST = 128


def who(command: str) -> str:
    """`novix cancel by anna at host-3`: the command, the user of this session and the host, as they call themselves."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as containers have
        user = "somebody"
    text = f"novix {command} by {user} at {socket.gethostname()}"
    return "".join(char if char.isprintable() else "?" for char in text)[:LONGEST]
