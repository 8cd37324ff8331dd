"""The router's OpenAI door: chat alone, one address, the provider as a suffix of the model."""

from schemas.assignment import Candidate
from workers.exchange import Ask, Call, Got, Next, Reply, measured
from workers.providers.common import openai_call, parsed


class HfRouter:
    """`POST {base}/v1/chat/completions` with `org/name` or `org/name:provider`."""

    tasks = frozenset({"chat-completion"})

    def request(self, ask: Ask, candidate: Candidate, headers: tuple[tuple[str, str], ...]) -> Call:
        """Without a suffix Hugging Face chooses the provider; so it is left out for `auto` alone."""
        model = candidate.provider_model
        if candidate.provider != "auto" and ":" not in model:
            model = f"{model}:{candidate.provider}"
        return openai_call(f"{candidate.base_url}/v1/chat/completions", model, ask, headers)

    def read(self, ask: Ask, candidate: Candidate, got: Got) -> Reply | Next:
        """The OpenAI form is the task's own."""
        return Reply(parsed(got), measured(got.headers))
