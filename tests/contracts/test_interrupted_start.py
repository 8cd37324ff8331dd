"""`novix` that is interrupted while it starts: it ends, even in the middle of an import that loses the interrupt."""

import signal
import subprocess
import sys

import pytest

LOSES = """
import signal, sys, time
sys.argv = ["novix", *sys.argv[2:]]

class Importing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == WHERE:
            print("importing", flush=True)
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                print("lost", flush=True)
                time.sleep(60)

sys.meta_path.insert(0, Importing)
from console.start import main
main()
"""
"""As the import machinery does where an interrupt comes in a callback of its locks (`_get_module_lock`)."""
WITHIN_S = 30


def started(where: str, *arguments: str, before: str = "") -> "subprocess.Popen[str]":
    code = before + LOSES.replace("WHERE", repr(where))
    return subprocess.Popen(
        [sys.executable, "-c", code, "-", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("where", "arguments"),
    [
        ("console.cli", ("--help",)),
        ("router.app", ("router",)),
        ("workers.app", ("worker", "text")),
        ("console.serve", ("console",)),
        ("console.relay.serve", ("relay",)),
    ],
)
def test_an_interrupt_ends_a_service_that_is_importing(where: str, arguments: tuple[str, ...]) -> None:
    with started(where, *arguments) as novix:
        try:
            assert novix.stdout is not None
            assert novix.stdout.readline() == "importing\n"
            novix.send_signal(signal.SIGINT)
            assert novix.wait(WITHIN_S) == -signal.SIGINT
        finally:
            novix.kill()


def test_a_command_that_works_can_still_be_interrupted_in_its_own_way() -> None:
    """It tidies up, and ends with the code of an interrupted command."""
    code = (
        "import sys, time, console.start\n"
        "import console.commands.config as config\n"
        "def work():\n"
        "    try:\n"
        "        print('working', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('tidied up', flush=True)\n"
        "from console.cli import app\n"
        "from console.shell import command\n"
        "app.command('work-a-while')(command(work))\n"
        "sys.argv = ['novix', 'work-a-while']\n"
        "console.start.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as novix:
        try:
            assert novix.stdout is not None
            assert novix.stdout.readline() == "working\n"
            novix.send_signal(signal.SIGINT)
            told, _ = novix.communicate(timeout=WITHIN_S)
            assert (told, novix.returncode) == ("tidied up\n", 130)
        finally:
            novix.kill()


def test_who_is_started_with_interrupts_ignored_goes_on_ignoring_them() -> None:
    """As a shell starts what it puts into the background."""
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with started("console.cli", "--help", before=ignoring) as novix:
        try:
            assert novix.stdout is not None
            assert novix.stdout.readline() == "importing\n"
            novix.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                novix.wait(1)
        finally:
            novix.kill()
