"""`novix audit`: the process that signs checkpoints; to verify, prove and export what it signed; the key."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.audit.keys import Ring, Signer
    from console.audit.prove import Found
    from console.audit.verify import Report, Source
    from runtime.settings import Loaded, Settings

COVERED_WITHIN_S = 15.0
"""Beyond the interval of the checkpoints, until a new entry must be covered."""

Keys = Annotated[
    list[Path] | None,
    typer.Option("--public-key", help="PEM file that you trust; several after a change of keys.", dir_okay=False),
]
Folder = Annotated[Path | None, typer.Option(help="An exported folder, instead of Kafka.", file_okay=False)]


@command
def key() -> Exit:
    """Print the public key of the checkpoints (PEM); give it to those who shall verify. Made on first use."""
    loaded, screen = settings(), Screen()
    signer = _signer(loaded.settings, make=True)
    if signer is not None:
        screen.piece(signer.public_pem.decode())
        screen.note(f"novix: key {signer.id}; the private one is {_key_file(loaded.settings)}")
    return Exit.OK


@command
def checkpoint() -> Exit:
    """Run the checkpoints: follow the audit, sign where every chain is on `inference.checkpoints.v1`."""
    from console.audit.service import run

    return Exit(run(settings().settings))


@command
def verify(
    folder: Folder = None,
    public_key: Keys = None,
    proof: Annotated[Path | None, typer.Option(help="A file of `novix audit prove`, instead of everything.")] = None,
    kept: Annotated[
        str | None, typer.Option(help="NUMBER:SHA256 of a checkpoint that you have kept; it must be among these.")
    ] = None,
    open_hours: Annotated[
        float | None,
        typer.Option(help="A job that has been open for longer is a problem; default: it is listed.", min=0),
    ] = None,
    retention_days: Annotated[float, typer.Option(help="For so long audit records must be there.", min=0)] = 30,
    since: Annotated[
        Path | None,
        typer.Option(help="An older export, or a checkpoint out of one: all must go on from there.", metavar="OLDER"),
    ] = None,
    topics: Annotated[
        bool, typer.Option("--topics", help="Also hold the topic of the results against the jobs' ends.")
    ] = False,
    part: Annotated[
        bool, typer.Option("--part", help="You asked for a part (export --since); needed if its manifest is unsigned.")
    ] = False,
    as_json: AsJson = False,
) -> Exit:
    """Check everything: chains, signed checkpoints, and that each accepted job has one end. Names the first bad record.

    Exit code 1 if anything is wrong. Needs the public key alone; with --folder or --proof it works offline.
    """
    from console.audit.older import kept_of, read_older

    screen = Screen(as_json=as_json)
    if proof is not None:
        return _verify_proof(proof, public_key, screen)
    options: dict[str, Any] = {
        "kept": kept_of(kept),
        "older": None if since is None else read_older(since),
        "open_for": None if open_hours is None else timedelta(hours=open_hours),
        "retention": timedelta(days=retention_days),
    }
    if folder is not None:
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder", Exit.USAGE)
        if topics:
            raise CommandError("--topics needs Kafka: an export does not hold the results", Exit.USAGE)
        return asyncio.run(_verify_folder(folder, public_key, part, options, screen))
    return asyncio.run(_verify_live(settings(), public_key, topics, options, screen))


@command
def prove(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    tenant: Annotated[str | None, typer.Option(help="Whose; default: whoever has a job of this id.")] = None,
    all_entries: Annotated[bool, typer.Option("--all", help="All that is told of it, not its end alone.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the proof there (binary, under a kilobyte).")] = None,
    folder: Folder = None,
    public_key: Keys = None,
    as_json: AsJson = False,
) -> Exit:
    """Prove that a job's end stands in the audit: its entry, the way to a signed root. Waits for the checkpoint."""
    return asyncio.run(_prove(job, tenant, all_entries, out, folder, public_key, Screen(as_json=as_json)))


@command
def export(
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="New or empty.", file_okay=False)] = None,
    hec: Annotated[
        str | None, typer.Option(metavar="URL", help="Send to a Splunk HTTP Event Collector, on and on, instead.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="2026-11-22T12:00:00Z or 2h: from the checkpoint before it.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Likewise: to the first checkpoint after it.")] = None,
    public_key: Keys = None,
    hec_acks: Annotated[bool, typer.Option("--hec-acks", help="Wait for the indexer's acknowledgement.")] = False,
    hec_ca: Annotated[str, typer.Option("--hec-ca", help="CA certificates (PEM) of the collector's own.")] = "",
    index: Annotated[str, typer.Option(help="Index of Splunk; default: the token's.")] = "",
    once: Annotated[bool, typer.Option("--once", help="With --hec: end when everything there is was sent.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Write the audit to a folder that anybody can verify offline, or send it to a Splunk HTTP Event Collector.

    To the collector each event is sent at least once, with an id by which a repetition is known; a later run goes on
    where this one was. The token comes from NOVIX_HEC_TOKEN.
    """
    if (folder is None) == (hec is None):
        raise CommandError("name either a folder or --hec URL", Exit.USAGE)
    if hec is not None:
        from console.audit.sending import run

        return asyncio.run(run(settings(), hec, acks=hec_acks, index=index, once=once, ca_file=hec_ca))
    assert folder is not None  # noqa: S101 - told above
    return asyncio.run(_export(settings(), folder, public_key, since, until, Screen(as_json=as_json)))


async def _verify_folder(
    path: Path, public_key: list[Path] | None, part: bool, options: dict[str, Any], screen: Screen
) -> Exit:
    from console.audit.folder import Folder
    from console.audit.say import report_lines

    ring = _folder_ring(path, public_key)
    source = Folder(path)
    source.open(ring)
    if not public_key:
        source.notes.append(
            f"the key {ring.ids[0]} is the export's own: whoever changed the export can have changed the key as well. "
            "Compare it with what `novix audit key` printed, or name that: --public-key FILE"
        )
    by_wish = part or (source.manifest or {}).get("since") is not None
    if by_wish and not part and not source.is_signed:
        source.doubt("it begins late, and nobody signed that this was wished; if you asked for a part: --part")
    elif by_wish:
        source.notes.append("it begins where whoever exported it wished: --since")
    report = await _verified(source, ring, options | {"by_wish": by_wish})
    screen.answer(report.document(), report_lines(report))
    return Exit.FAILED if report.problems else Exit.OK


async def _verify_live(
    loaded: "Loaded", public_key: list[Path] | None, topics: bool, options: dict[str, Any], screen: Screen
) -> Exit:
    from console.audit.live import Live
    from console.audit.say import report_lines
    from console.kafka import connected

    ring = _ring(public_key) if public_key else _own_ring(loaded.settings)
    async with connected(loaded) as log:
        source = Live(log.reader())
        await source.open(log.heads)
        report = await _verified(
            source, ring, options | {"committed": source.committed, "results": source if topics else None}
        )
    screen.answer(report.document(), report_lines(report))
    return Exit.FAILED if report.problems else Exit.OK


async def _verified(source: "Source", ring: "Ring", options: dict[str, Any]) -> "Report":
    from console.audit.checkpoints import Forged
    from console.audit.verify import verify

    try:
        return await verify(source, ring, **options)
    except Forged as error:
        raise CommandError(f"--since: {error}", Exit.USAGE) from None


def _verify_proof(path: Path, public_key: list[Path] | None, screen: Screen) -> Exit:
    from console.audit.proof import MOST_BYTES, BadProof, check, decode
    from console.audit.say import proof_lines, proofs_document

    ring = _ring(public_key) if public_key else _own_ring(settings().settings)
    try:
        with path.open("rb") as file:
            proofs = decode(file.read(MOST_BYTES))
        lines = []
        for one in proofs:
            faults = []
            for key_id in ring.ids:
                try:
                    lines += proof_lines(one, check(one, ring, key_id))
                    break
                except BadProof as error:
                    faults.append(str(error))
            else:
                raise BadProof("; ".join(faults))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {type(error).__name__}", Exit.USAGE) from None
    except BadProof as error:
        raise CommandError(f"{path} proves nothing: {error}") from None
    screen.answer(proofs_document(proofs), [*lines, "OK: proved"])
    return Exit.OK


async def _prove(
    job: str, tenant: str | None, all_entries: bool, out: Path | None, folder: Path | None,
    public_key: list[Path] | None, screen: Screen,
) -> Exit:  # fmt: skip
    from console.audit.folder import Folder
    from console.audit.live import Live
    from console.audit.prove import CannotProve, prove
    from console.kafka import connected

    try:
        if folder is not None:
            ring = _folder_ring(folder, public_key)
            found = await prove(Folder(folder), ring, tenant, job, all_entries=all_entries)
        else:
            loaded = settings()
            ring = _ring(public_key) if public_key else _own_ring(loaded.settings)
            loop = asyncio.get_running_loop()
            until = loop.time() + loaded.settings.audit_checkpoint_s + COVERED_WITHIN_S
            async with connected(loaded) as log:
                while True:
                    source = Live(log.reader())
                    await source.open()
                    found = await prove(source, ring, tenant, job, all_entries=all_entries)
                    if not found.uncovered or loop.time() > until:
                        break
                    screen.note("novix: no checkpoint covers it yet; waiting for the next one")
                    await asyncio.sleep(min(5.0, loaded.settings.audit_checkpoint_s))
    except CannotProve as error:
        raise CommandError(str(error)) from None
    return _told_proof(found, job, out, ring, screen)


def _told_proof(found: "Found", job: str, out: Path | None, ring: "Ring", screen: Screen) -> Exit:
    from console.audit.proof import encode
    from console.audit.say import proof_lines, proofs_document
    from schemas import codec

    if not found.entries:
        raise CommandError(f"the audit tells nothing of a job {job!r}", Exit.NOT_MET)
    if not found.proofs:
        raise CommandError(
            "no checkpoint of your key covers it: is `novix audit checkpoint` running (it is part of `novix up`)?",
            Exit.NOT_MET,
        )
    data = encode(found.proofs)
    lines = [line for one in found.proofs for line in proof_lines(one, codec.decode(one.entry))]
    if not found.ended:
        lines.append("the job has no end yet")
    if found.uncovered:
        lines.append(f"{found.uncovered} of its entries are not covered by a checkpoint yet")
    if out is not None:
        out.write_bytes(data)
        lines.append(
            f"wrote {out}, {len(data):,} bytes; check it with: novix audit verify --proof {out} --public-key FILE"
        )
    else:
        lines.append(f"a proof of {len(data):,} bytes; keep it with: --out FILE")
    screen.answer({"bytes": len(data), "proofs": proofs_document(found.proofs)}, lines)
    return Exit.OK


async def _export(
    loaded: "Loaded", folder: Path, public_key: list[Path] | None, since: str | None, until: str | None, screen: Screen
) -> Exit:
    from console.audit.export import export as write
    from console.audit.live import Live
    from console.kafka import connected

    now = datetime.now(UTC)
    begin, end = _instant(since, "--since", now), _instant(until, "--until", now)
    signer = _signer(loaded.settings, make=False)
    if signer is None and not public_key:
        raise CommandError(f"there is no key {_key_file(loaded.settings)}; name the public one: --public-key FILE")
    ring = _ring(public_key) if public_key else _own_ring(loaded.settings)
    pem = public_key[0].read_bytes() if public_key else _signer_of(signer).public_pem
    async with connected(loaded) as log:
        source = Live(log.reader())
        await source.open()
        try:
            done = await write(source, folder, ring, pem, signer, now=now, since=begin, until=end)
        except FileExistsError:
            raise CommandError(f"{folder} is not empty: an export goes to a new folder", Exit.USAGE) from None
        except OSError as error:
            raise CommandError(f"{folder} cannot be written: {type(error).__name__}") from None
    document = {
        "folder": str(folder),
        "records": done.records,
        "checkpoints": done.checkpoints,
        "bytes": done.size_bytes,
    }
    lines = [
        f"wrote {done.records:,} records and {done.checkpoints:,} checkpoints to {folder} ({done.size_bytes:,} bytes)",
        f"check it with: novix audit verify --folder {folder} --public-key FILE",
    ]
    for name, one in (("from", done.since), ("to", done.until)):
        if one is not None:
            lines.insert(1, f"{name} checkpoint {one.number} of {one.at:%Y-%m-%d %H:%M:%S} UTC")
    screen.answer(document, lines)
    return Exit.OK


def _instant(text: str | None, option: str, now: datetime) -> datetime | None:
    from console.words import moment_ms

    if text is None:
        return None
    told = moment_ms(text, now)
    if told is None:
        raise CommandError(
            f"{option} {text!r}: an instant like 2026-11-22T12:00:00Z, or 2h for two hours ago", Exit.USAGE
        )
    return datetime.fromtimestamp(told / 1_000, UTC)


def _ring(files: list[Path]) -> "Ring":
    from console.audit.keys import MAX_FILE_BYTES, KeyProblem, Ring, read_public

    keys = []
    for path in files:
        try:
            with path.open("rb") as file:
                keys.append(read_public(file.read(MAX_FILE_BYTES), str(path)))
        except OSError as error:
            raise CommandError(f"the public key {path} cannot be read: {type(error).__name__}", Exit.USAGE) from None
        except KeyProblem as error:
            raise CommandError(str(error), Exit.USAGE) from None
    return Ring(keys)


def _folder_ring(folder: Path, files: list[Path] | None) -> "Ring":
    from console.audit.folder import KEY, is_plain

    if not files and not is_plain(folder / KEY):
        raise CommandError(f"{folder / KEY} cannot be read: name a key with --public-key FILE", Exit.USAGE)
    return _ring(files or [folder / KEY])


def _own_ring(config: "Settings") -> "Ring":
    from console.audit.keys import Ring

    signer = _signer(config, make=False)
    if signer is None:
        raise CommandError(
            f"there is no key {_key_file(config)}: name the public key of the checkpoints with --public-key FILE",
            Exit.USAGE,
        )
    return Ring.of(signer)


def _signer(config: "Settings", *, make: bool) -> "Signer | None":
    from console.audit.keys import KeyProblem, read_signer, signer_of

    try:
        return signer_of(_key_file(config)) if make else read_signer(_key_file(config))
    except KeyProblem as error:
        raise CommandError(str(error)) from None


def _signer_of(signer: "Signer | None") -> "Signer":
    if signer is None:
        raise CommandError("there is no key")
    return signer


def _key_file(config: "Settings") -> Path:
    from console.audit.live import key_file

    return key_file(config)
