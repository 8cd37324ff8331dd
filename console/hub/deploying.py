"""Where a model can run, and the command that has Novix use it there. Pure."""

import shlex
from dataclasses import dataclass

from schemas.catalog import CatalogEntry
from schemas.tasks import MODALITIES


@dataclass(frozen=True, slots=True)
class Deployment:
    """One place."""

    name: str
    says: str
    code: str = ""


def ways(entry: CatalogEntry, *, sandbox: bool = False) -> tuple[Deployment, ...]:
    """Cloud, edge, local and serverless, each with a command line where there is one. `sandbox`: what is served, the
    sandbox on this machine serves."""
    model = shlex.quote(entry.id)
    task = entry.task if entry.task in MODALITIES else "chat-completion"
    served = [offer.provider for offer in entry.served]
    run = f"novix run --task {task} --model {model}"
    local = any(sandbox or offer.source == "local" for offer in entry.served)
    return (
        Deployment(
            "Serverless",
            f"through Hugging Face's router: {', '.join(sorted(set(served))[:6])}"
            if served
            else "nobody is known to serve it",
            f'{run} "Hi"' if served and task == "chat-completion" else "",
        ),
        Deployment(
            "Cloud",
            "a dedicated endpoint of your own, that sleeps while nothing waits",
            f"novix endpoints create NAMESPACE/NAME --model {model} --task {task} --instance nvidia-l4/x1",
        ),
        Deployment(
            "Edge",
            "any host with an OpenAI-compatible address, by a row of your catalogue file; what it would be asked:",
            "novix request job.json --provider openai-compatible --base-url http://EDGE-HOST:8000/v1 "
            f"--model {model} --curl",
        ),
        Deployment(
            "Local",
            "the sandbox on this machine serves it, with the network off"
            if local
            else "novix up serves small models of its own on this machine; this one is not among them",
            run if local else "novix up",
        ),
    )
