"""Values of the brief's own `.env` that name things which do not exist (any more), and what to write instead."""

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
            return f"{name}: Hugging Face's tokens start with hf_ and are not expanded here; write {name}=hf_... or NOVIX_HF_TOKEN_SEALED_FILE"
        return None
    for host, advice in _DEAD_HOSTS.items():
        if host in value:
            return f"{name}={value[:200]!r}: {advice}"
    if value in _DEAD_MODELS:
        return f"{name}={value!r}: {_DEAD_MODELS[value]}"
    if name == "HF_API_VERSION" and value != "2.4":
        return f"{name}={value[:40]!r}: the only known version is 2.4; Hugging Face's inference has no version number, so leave it out"
    return None
