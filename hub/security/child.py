"""`python -m hub.security.child PATH`: a file on stdin, what it holds as JSON on stdout. Bounded by the kernel.

Its parent kills it when its time is over; memory, time of the processor and files are bounded here, before the first
byte is read.
"""

import json
import resource
import sys

from hub.security.pickles import looked

MEMORY_BYTES = 1_610_612_736
"""Of addresses, not of memory that is used: numpy's libraries alone take some hundred megabytes of them."""
CPU_S = 20


def bound() -> None:
    """Give up what a look does not need."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Look at one file."""
    bound()
    look = looked(sys.argv[1], sys.stdin.buffer.read())
    sys.stdout.write(json.dumps({"level": look.level, "detail": look.detail}))


if __name__ == "__main__":
    main()
