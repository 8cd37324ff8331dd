"""SmolLM2 by llama.cpp (xllamacpp), kept behind two functions. All calls block: run them on the seat's thread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.hf.seat import Emit


class PromptTooLong(Exception):
    """The prompt alone is longer than the context."""

    def __init__(self, given_tokens: int) -> None:
        super().__init__(f"prompt has {given_tokens} tokens")
        self.given_tokens = given_tokens


class Unusable(Exception):
    """llama.cpp refuses the request: a grammar it cannot build, a message that its template cannot render.

    Its own words may quote the request, so they are not kept.
    """


class Llama:
    """One model, loaded at the first call (about 0.6 s), never unloaded. Not safe for two threads: one seat owns it.

    The prompt cache is off: with it the same seed gives another answer when another prompt came before.
    """

    def __init__(self, weights: Callable[[], Path], *, threads: int, context_tokens: int) -> None:
        self._weights = weights
        self._threads = threads
        self._context_tokens = context_tokens
        self._server: Any = None

    def load(self) -> None:
        """Fetch the weights if they are not in the cache, check them, and load them."""
        self._loaded()

    def chat(self, ask: dict[str, Any], emit: Emit) -> None:
        """Emit llama.cpp's chat completion chunks for `ask`, until it ends or `emit` says stop.

        Raises `PromptTooLong` and `Unusable`.
        """
        self._run(self._loaded().handle_chat_completions, ask, emit)

    def complete(self, ask: dict[str, Any], emit: Emit) -> None:
        """Emit llama.cpp's text completion chunks for `ask`; otherwise as `chat`."""
        self._run(self._loaded().handle_completions, ask, emit)

    def _run(self, handle: Callable[..., None], ask: dict[str, Any], emit: Emit) -> None:
        faults: list[dict[str, Any]] = []

        def each(piece: dict[str, Any]) -> bool:
            if "error" in piece:
                faults.append(piece["error"])
                return True
            return emit(piece)

        streaming = {"stream": True, "stream_options": {"include_usage": True}, "timings_per_token": True}
        try:
            handle(ask | streaming, each)
        except (ValueError, RuntimeError, TypeError, OverflowError):  # the last two: numbers of more than 64 bits
            raise Unusable from None
        for fault in faults:
            if fault.get("type") == "exceed_context_size_error":
                raise PromptTooLong(int(fault["n_prompt_tokens"]))
            raise Unusable

    def _loaded(self) -> Any:
        if self._server is None:
            import xllamacpp

            params = xllamacpp.CommonParams()
            params.model.path = str(self._weights())
            params.n_ctx = self._context_tokens
            params.n_parallel = 1
            params.cpuparams.n_threads = self._threads
            params.cpuparams_batch.n_threads = self._threads
            params.cache_prompt = False
            params.cache_ram_mib = 0
            params.ctx_shift = False
            params.warmup = False
            params.verbosity = -1
            self._server = xllamacpp.Server(params)
        return self._server


def fingerprint() -> str:
    """What `system_fingerprint` says: the engine and its version."""
    from importlib.metadata import version

    return f"xllamacpp-{version('xllamacpp')}"
