"""Values of the brief's own `.env` that name things which do not exist (any more), and what to write instead."""

import re

_DEAD_HOSTS = {
    "api.enterprise.huggingface.co": "there is no such host; leave it out, or write https://router.huggingface.co",
    "api-inference.huggingface.co": "this host is gone; write https://router.huggingface.co",
    "attestation.hf.co": "there is no such host",
}
_DEAD_MODELS = {
    "HuggingFaceH4/zephyr-7b-enterprise": "there is no such model; write `auto` or a model of the catalogue",
    "stabilityai/stable-diffusion-xl-enterprise": "there is no such model; write `auto` or a model of the catalogue",
}


def dead_value(name: str, value: str) -> str | None:
    """Why `name=value` cannot work and what to write instead; None for a value that can."""
    if name in ("HF_API_KEY", "HF_TOKEN", "NOVIX_HF_TOKEN"):
        if value.startswith("org_") or "${" in value:
            return (
                f"{name}: Hugging Face's tokens start with hf_ and are not expanded here; "
                f"write {name}=hf_... or NOVIX_HF_TOKEN_SEALED_FILE"
            )
        return None
    for host, advice in _DEAD_HOSTS.items():
        if host in value and name.endswith(("_URL", "_ENDPOINT", "_HOSTS")):
            return f"{name}={shown(value)}: {advice}"
    if value in _DEAD_MODELS:
        return f"{name}={value!r}: {_DEAD_MODELS[value]}"
    if name == "HF_API_VERSION" and value != "2.4":
        return (
            f"{name}={shown(value)}: the only known version is 2.4; Hugging Face's inference has no version number, "
            f"so leave it out"
        )
    return None


def shown(value: str) -> str:
    """A setting's value as a message may show it: short, quoted, without the user and password of an address."""
    return repr(re.sub(r"//[^/\s]*@", "//(hidden)@", value)[:200])
