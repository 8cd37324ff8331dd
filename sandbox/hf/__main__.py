"""`python -m sandbox.hf --port N --state DIR`: the local Hugging Face as a process. Ends in peace on SIGTERM."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from sandbox.hf.app import Options, create_app
from sandbox.hf.server import config, run


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; prints one line when it listens."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.hf", description="The sandbox's Hugging Face.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1", help="/admin answers to loopback only, whatever this is")
    parser.add_argument("--state", type=Path, required=True, help="folder of bill and call log")
    parser.add_argument("--cache", type=Path, default=None, help="folder of fetched weights")
    parser.add_argument("--weights", type=Path, default=None, help="the chat model's GGUF, instead of fetching it")
    parser.add_argument("--preload", action="store_true", help="load every model before the first call")
    parser.add_argument(
        "--endpoint-starts", type=float, default=1.0, help="times the real time that dedicated endpoints take to start"
    )
    parser.add_argument("--hub-rows", type=int, default=2_000, help="generated models that its Hub lists")
    given = parser.parse_args(arguments)
    # Before any of them is loaded: threads that wait for each other on busy cores cost more than they bring.
    for library in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(library, "1")
    options = Options(
        state=given.state,
        cache=given.cache,
        weights=given.weights,
        preload=given.preload,
        hub_rows=given.hub_rows,
        endpoint_starts=given.endpoint_starts,
        token=os.environ.get("NOVIX_SANDBOX_HF_TOKEN") or None,  # never an argument: those are seen in ps
        say=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
    )
    settings = config(create_app(options), host=given.host, port=given.port)
    listener = settings.bind_socket()
    listener.listen()  # from here on calls wait instead of being refused, also while models load
    host, port = listener.getsockname()[:2]
    print(f"sandbox.hf listens on http://{host}:{port}", flush=True)  # noqa: T201
    asyncio.run(run(settings, listener))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
