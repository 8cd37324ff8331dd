"""An hour of mixed load under random faults, and what grows meanwhile.

The load's judge, its faults and its processes are those of the fault tests, which lie in `tests/support` (no package).
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "support"))
