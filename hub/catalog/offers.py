"""Who serves a model, as the router's list, Novix's own catalogue and its dedicated endpoints tell it: partial entries,
one for each model, to be merged with what the Hub says. Pure; what is of no use is left out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hub.catalog.fields import Fields, is_count, is_number, is_text
from hub.catalog.merging import MAX_SERVED, in_order
from hub.catalog.naming import modality_of
from hub.catalog.rows import UNKNOWN, is_repository
from schemas.catalog import CatalogEntry, Said, Serving, Source
from schemas.endpoints import EndpointState
from schemas.snapshot import CatalogueSnapshot
from schemas.tasks import MODALITIES

NANO = 1_000_000_000
MOST_MODELS = 20_000
CHAT = "chat-completion"


def router_entries(document: Any, at: datetime, dropped: Counter[str]) -> list[CatalogEntry] | None:
    """What `GET /v1/models` says: chat models and their providers, with prices in dollars per million tokens. None: it
    is no such list."""
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return None
    found: dict[str, CatalogEntry] = {}
    for row in rows[:MOST_MODELS]:
        name = row.get("id") if isinstance(row, dict) else None
        if not is_repository(name):
            dropped["router"] += 1
            continue
        told = row.get("providers")
        if not isinstance(told, list):
            dropped["router"] += 1
            continue
        served: dict[str, Serving] = {}
        for provider in told[:MAX_SERVED]:
            one = _provider(provider, at, dropped)
            if one is not None:
                served.setdefault(one.provider, one)
        if served:
            found[str(name)] = entry_of(str(name), "router", served.values(), at)
    return list(found.values())


def _provider(row: Any, at: datetime, dropped: Counter[str]) -> Serving | None:
    if not isinstance(row, dict) or not is_text(row.get("provider"), 64):
        dropped["router"] += 1
        return None
    fields = Fields(row, at, dropped)
    price = Fields(fields.table("pricing"), at, dropped)
    first, speed = fields.number("first_token_latency_ms"), fields.number("throughput")
    context, status = fields.count("context_length"), fields.text("status", 32)
    return Serving(
        provider=row["provider"],
        task=CHAT,
        status=status or UNKNOWN,
        source="router",
        context_tokens=context or None,
        input_nanousd_per_mtok=_nanousd(price, "input"),
        output_nanousd_per_mtok=_nanousd(price, "output"),
        first_token_ms=round(first) if first is not None and 0 <= first < 10**9 else None,
        tokens_per_s=_speed(speed),
        tools=fields.flag("supports_tools"),
        structured_output=fields.flag("supports_structured_output"),
        free=fields.flag("is_free"),
    )


def _nanousd(price: Fields, name: str) -> int | None:
    """Thousand-millionths of a dollar for a million tokens. A price that is missing, or none, is unknown, never
    zero."""
    dollars = price.number(name)
    if dollars is None:
        return None
    if not 0 <= dollars < 10**6:
        price.drop(name)
        return None
    return round(dollars * NANO)


def offer_entries(parts: Iterable[CatalogueSnapshot]) -> list[CatalogEntry]:
    """What the newest catalogue of the installation offers: its own file's words (`novix`), and for models of this
    machine `local`."""
    by_model: dict[tuple[str, Source], list[Serving]] = {}
    facts: dict[tuple[str, Source], dict[str, Any]] = {}
    at = datetime.fromtimestamp(0, UTC)
    for part in parts:
        at = max(at, part.at)
        for offer in part.offers:
            name = offer.get("model")
            if not is_repository(name) or not offer.get("served", True):
                continue
            source: Source = "local" if offer.get("local") is True else "novix"
            known = (str(name), source)
            by_model.setdefault(known, []).extend(_offered(offer, source))
            tasks = _tasks(offer)
            about = facts.setdefault(known, {"tasks": ()})
            about["tasks"] = tuple(dict.fromkeys((*about["tasks"], *tasks)))
            if is_count(offer.get("context_tokens")) and offer.get("context_tokens"):
                about["context_tokens"] = offer["context_tokens"]
    return [entry_of(name, source, served, at, **facts[name, source]) for (name, source), served in by_model.items()]


def _offered(offer: Mapping[str, Any], source: Source) -> list[Serving]:
    provider = offer.get("provider")
    if not is_text(provider, 64):
        return []
    units = offer["price"] if isinstance(offer.get("price"), dict) else {}
    regions = offer.get("regions")
    shared: dict[str, Any] = {
        "provider": provider,
        "provider_model": offer["provider_model"] if is_text(offer.get("provider_model")) else None,
        "status": "live" if offer.get("live", True) is True else "error",
        "source": source,
        "context_tokens": offer["context_tokens"] if is_count(offer.get("context_tokens")) else None,
        "input_nanousd_per_mtok": _count(units.get("input_nanousd_per_mtok")),
        "output_nanousd_per_mtok": _count(units.get("output_nanousd_per_mtok")),
        "first_token_ms": _count(offer.get("first_token_ms")),
        "tokens_per_s": _speed(offer.get("tokens_per_s")),
        "regions": tuple(one for one in regions if is_text(one, 64)) if isinstance(regions, list) else (),
    }
    tasks: list[str | None] = [*_tasks(offer)] or [None]
    return [Serving(task=task, **shared) for task in tasks]


def _tasks(offer: Mapping[str, Any]) -> list[str]:
    told = offer.get("tasks")
    return [one for one in told if isinstance(one, str) and one in MODALITIES] if isinstance(told, list) else []


def _speed(told: Any) -> float | None:
    return float(told) if is_number(told) and told >= 0 else None


def _count(told: Any) -> int | None:
    return int(told) if is_count(told) else None


def endpoint_entries(states: Iterable[EndpointState]) -> list[CatalogEntry]:
    """Own dedicated endpoints, whatever they do now: one that sleeps is woken by a job."""
    by_model: dict[str, list[Serving]] = {}
    at: dict[str, datetime] = {}
    for state in states:
        if state.status == "deleted" or not is_repository(state.spec.model):
            continue
        name = state.spec.model
        at[name] = max(state.since, at.get(name, state.since))
        by_model.setdefault(name, []).append(
            Serving(
                provider="endpoints",
                provider_model=state.spec.key,
                task=state.spec.task if state.spec.task in MODALITIES else None,
                status="live" if state.status == "running" and state.ready else state.status,
                source="endpoints",
                regions=(state.spec.security.region,),
            )
        )
    return [entry_of(name, "endpoints", served, at[name]) for name, served in by_model.items()]


def entry_of(name: str, source: Source, served: Iterable[Serving], at: datetime, **more: Any) -> CatalogEntry:
    """A partial entry: what one source of offers says of a model."""
    known = in_order(served)
    tasks = more.get("tasks") or tuple(dict.fromkeys(one.task for one in known if one.task))
    told: dict[str, Any] = {
        **more,
        "name": name.rpartition("/")[2],
        "author": name.rpartition("/")[0] or None,
        "tasks": tasks,
        "task": tasks[0] if tasks else None,
        "modality": modality_of(None, tasks[0]) if tasks else None,
        "served": known,
    }
    told = {field: value for field, value in told.items() if value not in (None, (), {})}
    return CatalogEntry(id=name, **told, said=(Said(source=source, fields=tuple(told), since=at),))
