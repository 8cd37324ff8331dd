"""Makes `.venv` with everything that Novix, its sandbox, its tests and its checks need. Run: `make install`.

Installs by hash from `requirements.lock` where the lock was made for this machine, else resolves `pyproject.toml` and
says so. Does nothing when neither file has changed since the last time.
"""

import hashlib
import platform
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed"
LOCK = ROOT / "requirements.lock"
PROJECT = ROOT / "pyproject.toml"
LOCKED_FOR = "Linux x86-64, glibc 2.28 or newer, CPython 3.11"


def locked_here() -> bool:
    """Whether the lock's wheels are this machine's."""
    libc, version = platform.libc_ver()
    return (
        sysconfig.get_platform() == "linux-x86_64"
        and platform.python_implementation() == "CPython"
        and sys.version_info[:2] == (3, 11)
        and libc == "glibc"
        and tuple(map(int, version.split(".")[:2])) >= (2, 28)
    )


def fingerprint() -> str:
    """Changes when what should be installed changes: the two files, the Python, and where the tree stands."""
    digest = hashlib.sha256(LOCK.read_bytes() + PROJECT.read_bytes())
    digest.update(f"{sys.version}{VENV}".encode())
    return digest.hexdigest()


def run(*args: str | Path) -> None:
    """One step; its failure ends us with its exit code, its own words being the message."""
    done = subprocess.run([str(arg) for arg in args], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def make_venv() -> Path:
    """The environment's Python. One that another Python made, or that was moved here, is made anew."""
    python = VENV / "bin" / "python"
    same = python.exists() and (VENV / "bin" / "pip").exists()
    if same:
        ask = [str(python), "-c", "import sys; print(sys.version, sys.prefix)"]
        asked = subprocess.run(ask, capture_output=True, text=True, check=False)
        same = asked.returncode == 0 and asked.stdout.strip() == f"{sys.version} {VENV}"
    if not same:
        print(f"install: making .venv with Python {platform.python_version()}")
        venv.create(VENV, clear=True, with_pip=True, symlinks=True)
    return python


def main() -> None:
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    python = make_venv()
    STAMP.unlink(missing_ok=True)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    text = LOCK.read_text()
    size = re.search(r"^# bytes: (\d+)$", text, re.MULTILINE)
    megabytes = int(size[1]) / 1e6 if size else 0
    print(f"install: {text.count('==')} packages, {megabytes:.0f} MB to download less what pip has cached", flush=True)
    if locked_here():
        run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", LOCK)
        run(*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    else:
        python_here = f"{platform.python_implementation()} {platform.python_version()}"
        here = f"{platform.system()} {platform.machine()}, {python_here}"
        print(f"install: requirements.lock is for {LOCKED_FOR}; this is {here}: resolving pyproject.toml instead,")
        print("install: so versions may be newer than those that the tests ran with", flush=True)
        run(*pip, "--editable", f"{ROOT}[sandbox,hub,test,dev]")
    STAMP.write_text(wanted)
    print("install: done; the command is .venv/bin/novix")


if __name__ == "__main__":
    main()
