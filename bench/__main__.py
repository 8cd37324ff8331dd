"""`make bench`: every measurement that the documentation quotes, printed with the machine."""

import sys

from bench import cpu
from bench.world import machine, world


def main() -> int:
    print(machine())
    with world() as here:
        for line in cpu.report(cpu.run(here)):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
