"""A model's own configuration from the Hub: what its labels with numbers are."""

from urllib.parse import quote

from hub.evals.names import id2label
from runtime.settings import Settings

MOST_BYTES = 4_194_304
WITHIN_S = 10.0


async def labels_of(settings: Settings, model: str, revision: str | None) -> tuple[dict[str, str], str]:
    """`id2label` of the model's `config.json` at that commit, and why it was not read; empty: it was. No credential is
    sent: the files of a gated model may be closed to us."""
    from runtime.http import PRIVATE_NETWORKS, Fetcher, FetchError

    if any(part in ("", ".", "..") for part in model.split("/")) or not model.isprintable():
        return {}, "the Hub has no such name"
    hub = (settings.hub_url or settings.hf_hub_url).rstrip("/")
    url = f"{hub}/{quote(model, safe='/')}/raw/{quote(revision or 'main', safe='')}/config.json"
    try:
        async with Fetcher([hub], private=PRIVATE_NETWORKS) as fetcher:
            got = await fetcher.get(url, max_bytes=MOST_BYTES, total_s=WITHIN_S)
    except FetchError as error:
        return {}, f"its config.json was not read: {type(error).__name__}"
    found = id2label(got.data)
    return found, "" if found else "its config.json names no labels"
