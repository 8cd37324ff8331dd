"""Jobs, and rulings on them from the catalogues that come with Novix."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from router.catalogue import Catalogue, load, merge, parse
from router.decide import Ruling, decide
from router.view import View, view_of
from runtime.settings import Settings
from schemas import codec
from schemas.job import InferenceJob

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOSTED = Settings(home=Path("/nonexistent"))
SANDBOX = Settings(home=Path("/nonexistent"), sandbox_url="http://127.0.0.1:9", hf_router_url="http://127.0.0.1:9")
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
SMALL, LARGE = "HuggingFaceTB/SmolLM2-135M-Instruct", "novix-sandbox/SmolLM2-135M-Instruct-large"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
HARD = "Prove and explain why this holds, compare it with the converse, derive both, then evaluate the trade-offs."

VIEWS = {"hosted": view_of(HOSTED, load(HOSTED)), "sandbox": view_of(SANDBOX, load(SANDBOX))}


def job(task: str = "chat-completion", task_input: Any = None, **more: Any) -> InferenceJob:
    asked = {"messages": [{"role": "user", "content": "Hi"}]} if task_input is None else task_input
    return InferenceJob.model_validate({"id": "a1", "task": task, "input": asked, **more})


def ruled(asked: InferenceJob, view: str | View = "hosted", *, now: datetime = NOW) -> Ruling:
    return decide(asked, VIEWS[view] if isinstance(view, str) else view, published=NOW, now=now)


def chat(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": more.pop("text", "Hi")}], **more}


def view(catalogue: Catalogue | None = None, **limits: Any) -> View:
    chosen = Settings(home=Path("/nonexistent"), **limits)
    return view_of(chosen, catalogue or load(chosen))


def offer(
    model: str = "m/m", provider: str = "acme", price: int | dict[str, Any] | None = 10**8, **more: Any
) -> dict[str, Any]:
    """A row of `catalogue_of`: one offer of one model, `price` nano-dollars for a million tokens of output."""
    told = price
    if isinstance(price, int):
        told = {"output_nanousd_per_million_tokens": price, "source": "t", "as_of": "t"}
    row = {
        "provider": provider, "provider_model": model, "dialect": "hf-router", "base": "huggingface",
        "tasks": ["chat-completion"], "max_in_flight": 1, "price": told,
    }  # fmt: skip
    return {"model": model, "tier": more.pop("tier", "small"), "offers": [row | more]}


def catalogue_of(*rows: dict[str, Any]) -> Catalogue:
    """A catalogue of these offers alone."""
    file = {"origin": "test", "models": list(rows)}
    return merge([parse("t.json", codec.encode(file))], {"huggingface": "http://127.0.0.1:1", "sandbox": None})
