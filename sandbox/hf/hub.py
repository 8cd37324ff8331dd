"""What the router says of the sandbox's own models, and their rows for the Hub (`hub_doors`). No token needed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.hf import wire
from sandbox.hf.catalogue import PROVIDER, Catalogue, Model, TokenPrice
from schemas import codec
from schemas.tasks import MODALITIES

PIPELINE_TAGS = {"chat-completion": "text-generation"}
"""The Hub tags chat models with the task they do without a chat template; every other task is its own tag."""

MAPPED_TASKS = {"chat-completion": "conversational"}
"""The provider mapping's name for chat."""


def router_row(model: Model) -> dict[str, Any]:
    """One entry of the router's `/v1/models`. Prices in US dollars per million tokens."""
    price = model.price
    if not isinstance(price, TokenPrice):
        raise TypeError(f"{model.id} has no price per token")
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.id.partition("/")[0],
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "providers": [
            {
                "provider": PROVIDER,
                "status": "live",
                "context_length": model.context_length,
                "pricing": {
                    "input": price.input_nanousd_per_mtok / 1e9,
                    "output": price.output_nanousd_per_mtok / 1e9,
                },
                "is_free": False,
                "supports_tools": False,
                "supports_structured_output": True,
                "is_model_author": False,
            }
        ],
    }


def mapping(model: Model) -> dict[str, Any]:
    """`inferenceProviderMapping` of a single model: a dict by provider."""
    task = MAPPED_TASKS.get(model.tasks[0], model.tasks[0])
    return {PROVIDER: {"status": "live", "providerId": model.id, "task": task, "isModelAuthor": False}}


def hub_row(model: Model) -> dict[str, Any]:
    """Everything that the Hub's routes can tell of a served model, by its own names."""
    created = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    tag = PIPELINE_TAGS.get(model.tasks[0], model.tasks[0])
    row = {
        "author": model.id.partition("/")[0],
        "cardData": {"license": model.licence},
        "createdAt": created,
        "disabled": False,
        "downloads": 0,
        "gated": False,
        "inference": "warm",
        "inferenceProviderMapping": mapping(model),
        "lastModified": created,
        "library_name": model.engine,
        "likes": 0,
        "pipeline_tag": tag,
        "private": False,
        "sha": model.revision,
        "siblings": [],
        # The official client takes a model for a second task of embeddings only if that task is among its tags.
        "tags": [*dict.fromkeys([tag, *model.tasks]), f"license:{model.licence}", "novix-sandbox"],
    }
    if model.revision is None:
        del row["sha"]
    if model.parameters is not None:
        row["safetensors"] = {"parameters": {"Q4": model.parameters}, "total": model.parameters}
    return row


@dataclass(frozen=True)
class Hub:
    """The listing routes."""

    models: Catalogue

    async def router_models(self, _: Request) -> Response:
        """`GET /v1/models`: the chat models."""
        rows = [router_row(model) for model in self.models if "chat-completion" in model.tasks]
        return answer({"object": "list", "data": rows})

    async def router_model(self, request: Request) -> Response:
        """`GET /v1/models/{org}/{name}`."""
        asked = request.path_params["model"]
        model = self.models.find(asked)
        if model is None or "chat-completion" not in model.tasks:
            error = {
                "message": f"The model '{asked[:200]}' does not exist",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }
            raise wire.Refusal(404, {"error": error})
        return answer(router_row(model))

    async def tasks(self, _: Request) -> Response:
        """`GET /api/tasks`: of each task the models that are recommended, for clients that name none."""
        named: dict[str, list[dict[str, str]]] = {}
        for model in self.models:
            named.setdefault(hub_row(model)["pipeline_tag"], []).append({"id": model.id})
        rows = {
            task: {"id": task, "models": models, "widgetModels": [one["id"] for one in models]}
            for task, models in named.items()
        }
        return answer({task: {"widgetModels": [], "models": [], "id": task} for task in MODALITIES} | rows)


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(codec.encode(value), status_code=status, media_type=wire.JSON)
