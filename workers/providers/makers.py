"""Body maps of single providers: those that make and change images, sounds and videos. Pure.

Each follows huggingface_hub 2.4.0 (Apache-2.0) member for member; see `bodies`.
"""

from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Ask
from workers.providers.bodies import Body, Document, beside, media_of, parameters_of
from workers.providers.pieces import as_uri

RESOLVED = "https://huggingface.co/{model}/resolve/main/{path}"
"""Where an adapter's weights lie."""
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"


def prompt(name: str = "prompt") -> Body:
    """The text as `name`, the parameters beside it."""
    return lambda ask, candidate: beside(parameters_of(ask), **{name: ask.body["inputs"]})


def replicate_input(make: Body) -> Body:
    """`make` inside `input`; an id with a colon names a version."""

    def body(ask: Ask, candidate: Candidate) -> Document:
        _, colon, version = candidate.provider_model.partition(":")
        return {"input": make(ask, candidate), **({"version": version} if colon else {})}

    return body


def replicate_image(ask: Ask, candidate: Candidate) -> Document:
    """A text for an image; an adapter is named by its repository."""
    document = prompt()(ask, candidate)
    if candidate.adapter_weights_path:
        document["lora_weights"] = f"https://huggingface.co/{candidate.model}"
    return document


def replicate_edit(ask: Ask, candidate: Candidate) -> Document:
    """Models expect the image under different names: it goes under all of them."""
    image = as_uri("image/jpeg")(media_of(ask))
    return beside(parameters_of(ask), image=image, images=[image], input_image=image, input_images=[image])


def replicate_speech(ask: Ask, candidate: Candidate) -> Document:
    """A sound for its transcript."""
    return beside(parameters_of(ask), audio=as_uri("audio/wav")(media_of(ask)))


def fal_image(ask: Ask, candidate: Candidate) -> Document:
    """A text for an image. Its size is one member; Stable Diffusion's adapters want their base model named."""
    document = prompt()(ask, candidate)
    if "width" in document and "height" in document:
        document["image_size"] = {"width": document.pop("width"), "height": document.pop("height")}
    document |= _loras(candidate)
    if candidate.adapter_weights_path and candidate.provider_model == "fal-ai/lora":
        document["model_name"] = SDXL
    return document


def fal_video(ask: Ask, candidate: Candidate) -> Document:
    """A text for a video."""
    return {**prompt()(ask, candidate), **_loras(candidate)}


def fal_edit(ask: Ask, candidate: Candidate) -> Document:
    """An image for another: it goes under both names that models expect."""
    told = parameters_of(ask)
    if "target_size" in told:
        told["image_size"] = told.pop("target_size")
    image = as_uri("image/jpeg")(media_of(ask))
    return {**beside(told, image_url=image, image_urls=[image]), **_loras(candidate)}


def fal_animation(ask: Ask, candidate: Candidate) -> Document:
    """An image for a video."""
    return {**beside(parameters_of(ask), image_url=as_uri("image/jpeg")(media_of(ask))), **_loras(candidate)}


def fal_segmentation(ask: Ask, candidate: Candidate) -> Document:
    """An image for its mask, which comes inside the answer."""
    return beside(parameters_of(ask), image_url=as_uri("image/png")(media_of(ask)), sync_mode=True)


def fal_transcription(ask: Ask, candidate: Candidate) -> Document:
    """A sound for its transcript."""
    return beside(parameters_of(ask), audio_url=as_uri("audio/mpeg")(media_of(ask)))


def _loras(candidate: Candidate) -> dict[str, Any]:
    if not candidate.adapter_weights_path:
        return {}
    path = RESOLVED.format(model=candidate.model, path=candidate.adapter_weights_path)
    return {"loras": [{"path": path, "scale": 1}]}


def wavespeed_edit(ask: Ask, candidate: Candidate) -> Document:
    """An image for an image or a video."""
    return beside(parameters_of(ask), image=as_uri("image/jpeg")(media_of(ask)))


def together_image(ask: Ask, candidate: Candidate) -> Document:
    """A text for an image, as base64."""
    told = {"response_format": "base64", **_in_steps(parameters_of(ask))}
    return beside(told, model=candidate.provider_model, prompt=ask.body["inputs"])


def together_edit(ask: Ask, candidate: Candidate) -> Document:
    """An image for another. FLUX.1 Kontext takes `image_url`, all others take `reference_images`."""
    told = _in_steps(parameters_of(ask))
    image = as_uri("image/jpeg")(media_of(ask))
    model = candidate.provider_model.lower()
    named: dict[str, Any] = (
        {"image_url": image} if "kontext" in model and "flux.1" in model else {"reference_images": [image]}
    )
    told = {"prompt": "", "response_format": "base64", **told}
    return beside(told, model=candidate.provider_model, **named)


def together_video(ask: Ask, candidate: Candidate) -> Document:
    """A text for a video."""
    return beside(_sized(parameters_of(ask)), model=candidate.provider_model, prompt=ask.body["inputs"])


def together_animation(ask: Ask, candidate: Candidate) -> Document:
    """An image as a video's first frame."""
    frame = {"input_image": as_uri("image/png")(media_of(ask)), "frame": "first"}
    return beside(_sized(parameters_of(ask)), model=candidate.provider_model, frame_images=[frame])


def _in_steps(told: dict[str, Any]) -> dict[str, Any]:
    if "num_inference_steps" in told:
        told["steps"] = told.pop("num_inference_steps")
    return told


def _sized(told: dict[str, Any]) -> dict[str, Any]:
    told = _in_steps(told)
    size = told.pop("target_size", None)
    if isinstance(size, dict):
        told |= {name: size[name] for name in ("width", "height") if name in size}
    return told


def nscale_image(ask: Ask, candidate: Candidate) -> Document:
    """OpenAI's images, as base64. Steps and scale have no word there."""
    told = _one_size(parameters_of(ask))
    for name in ("num_inference_steps", "cfg_scale"):
        told.pop(name, None)
    told = {"response_format": "b64_json", **told}
    return beside(told, model=candidate.provider_model, prompt=ask.body["inputs"])


def openai_image(ask: Ask, candidate: Candidate) -> Document:
    """The same, one image, for a server that we know nothing of."""
    told = {"response_format": "b64_json", **_one_size(parameters_of(ask))}
    return beside(told, model=candidate.provider_model, prompt=ask.body["inputs"], n=1)


def _one_size(told: dict[str, Any]) -> dict[str, Any]:
    if "width" in told and "height" in told:
        told["size"] = f"{told.pop('width')}x{told.pop('height')}"
    return told


def zai_image(ask: Ask, candidate: Candidate) -> Document:
    """A text for an image, later."""
    told = parameters_of(ask)
    width, height = told.pop("width", None), told.pop("height", None)
    if width is not None and height is not None:
        told = {"size": f"{width}x{height}", **told}
    return beside(told, model=candidate.provider_model, prompt=ask.body["inputs"])
