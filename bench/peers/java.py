"""Confluent's Parallel Consumer, made ready to run: a Java with a compiler, the pinned jars, our program compiled."""

import subprocess
from importlib.resources import files
from pathlib import Path

from sandbox.fetch import FetchError, Say, default_cache
from sandbox.kafka.jars import cached_jars, parse_jars
from sandbox.kafka.java import find_java

VERSION = "0.5.3.3"
DOWNLOAD_MB = 21
PROGRAM = "Peer"


class NotHereError(Exception):
    """This machine cannot run it; the message says why."""


def command(folder: Path, *, environ: dict[str, str], say: Say) -> tuple[list[str], str]:
    """The command line before the program's arguments, and the Java's version. Compiles into `folder`.

    Raises NotHereError where Java, its compiler or the jars are missing.
    """
    try:
        java = find_java(environ, cache=default_cache(environ), say=say)
        home = default_cache(environ) / f"parallel-consumer-{VERSION}"
        ours = files("bench.peers").joinpath("parallel")
        pinned = parse_jars(ours.joinpath("jars.sha256").read_text(encoding="utf-8"))
        jars = cached_jars(home, pinned, f"Parallel Consumer {VERSION}", DOWNLOAD_MB, say=say)
    except FetchError as error:
        raise NotHereError(str(error)) from error
    compiler = java.home / "bin" / "javac"
    if not compiler.exists():
        raise NotHereError(f"Java {java.version} here has no compiler (module jdk.compiler)")
    path = ":".join(map(str, jars))
    source = str(ours.joinpath(f"{PROGRAM}.java"))
    done = subprocess.run(
        [str(compiler), "-cp", path, "-d", str(folder), source], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotHereError(f"its program does not compile: {done.stderr.strip()[-300:]}")
    return [str(java.executable), "-cp", f"{path}:{folder}", PROGRAM], java.version
