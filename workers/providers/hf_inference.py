"""hf-inference: Hugging Face's own provider, every task, `{"inputs", "parameters"}`."""

from urllib.parse import quote

from schemas import codec
from schemas.assignment import Candidate
from workers.exchange import Ask, Call, Got, Next, Reply, measured
from workers.providers.common import openai_call, parsed

PIPELINES = frozenset({"feature-extraction", "sentence-similarity"})
"""Tasks whose route names them: their models serve both, and the path alone would mean the model's own default."""


class HfInference:
    """`POST {base}/hf-inference/models/{id}[/pipeline/{task}]`; chat under the model's own OpenAI door."""

    tasks = frozenset(
        {
            "chat-completion",
            "text-generation",
            "feature-extraction",
            "sentence-similarity",
            "zero-shot-classification",
            "text-classification",
        }
    )

    def request(self, ask: Ask, candidate: Candidate, headers: tuple[tuple[str, str], ...]) -> Call:
        """The task's input as it is, empty and null parameters dropped; what stands at its root stays there."""
        url = f"{candidate.base_url}/hf-inference/models/{quote(candidate.provider_model, safe='/')}"
        if ask.task == "chat-completion":
            return openai_call(f"{url}/v1/chat/completions", candidate.provider_model, ask, headers)
        if ask.task in PIPELINES:
            url += f"/pipeline/{ask.task}"
        body = {"inputs": ask.body["inputs"]}
        body |= {name: value for name, value in ask.body.items() if name not in ("inputs", "parameters")}
        parameters = {name: value for name, value in (ask.body.get("parameters") or {}).items() if value is not None}
        if parameters:
            body["parameters"] = parameters
        return Call("POST", url, (*headers, ("accept", "application/json")), codec.encode(body))

    def read(self, ask: Ask, candidate: Candidate, got: Got) -> Reply | Next:
        """The task's own form; what it took stands in the headers."""
        return Reply(parsed(got), measured(got.headers))
