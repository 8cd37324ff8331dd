"""`novix`: the command line. One file per family in `console/commands`; heavy imports happen inside the commands."""

import sys

import typer

from console.commands import (
    alerts,
    blob,
    breakers,
    cancel,
    config,
    demo,
    dlq,
    doctor,
    jobs,
    publish,
    quote,
    request,
    results,
    schema,
    services,
    slo,
    topics,
    why,
    world,
)
from console.exits import MEANINGS

EPILOG = "Exit codes: " + "; ".join(f"{int(code)} {meaning}" for code, meaning in MEANINGS.items()) + "."

app = typer.Typer(
    name="novix",
    help="Hugging Face inference as an event-driven system on Apache Kafka.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SYSTEM, WORK, LOOK = "A world on this machine", "Jobs and results", "Settings and contract"

app.command("up", rich_help_panel=SYSTEM)(world.up)
app.command("status", rich_help_panel=SYSTEM)(world.status)
app.command("down", rich_help_panel=SYSTEM)(world.down)
app.command("demo", rich_help_panel=SYSTEM)(demo.demo)
app.command("doctor", rich_help_panel=SYSTEM)(doctor.doctor)
app.command("router", rich_help_panel=SYSTEM)(services.router)
app.command("worker", rich_help_panel=SYSTEM)(services.worker)
app.command("console", rich_help_panel=SYSTEM)(services.console)
app.command("breakers", rich_help_panel=SYSTEM)(breakers.breakers)

app.command("run", rich_help_panel=WORK)(jobs.run)
app.command("publish", rich_help_panel=WORK)(publish.publish)
app.command("quote", rich_help_panel=WORK)(quote.quote)
app.command("request", rich_help_panel=WORK)(request.request)
app.command("results", rich_help_panel=WORK)(results.results)
app.command("why", rich_help_panel=WORK)(why.why)
app.command("cancel", rich_help_panel=WORK)(cancel.cancel)

dlq_app = typer.Typer(help="Dead letters: what was set aside, and to have it done again.", no_args_is_help=True)
dlq_app.command("list")(dlq.show_list)
dlq_app.command("show")(dlq.show_one)
dlq_app.command("redrive")(dlq.redrive)
app.add_typer(dlq_app, name="dlq", rich_help_panel=WORK)

blob_app = typer.Typer(help="Payloads of jobs and results, by their sha256.", no_args_is_help=True)
blob_app.command("put")(blob.put)
blob_app.command("get")(blob.get)
blob_app.command("gc")(blob.gc)
app.add_typer(blob_app, name="blob", rich_help_panel=WORK)

alerts_app = typer.Typer(help="Alerts: rules that are data, each crossing told once.", no_args_is_help=True)
alerts_app.command("run")(alerts.run)
alerts_app.command("list")(alerts.show)
alerts_app.command("rules")(alerts.rules)
alerts_app.command("set")(alerts.set_rule)
alerts_app.command("test")(alerts.test)
app.add_typer(alerts_app, name="alerts", rich_help_panel=SYSTEM)
app.command("slo", rich_help_panel=SYSTEM)(slo.slo)

topics_app = typer.Typer(help="The topics of the contract.", no_args_is_help=True)
topics_app.command("create")(topics.create)
topics_app.command("list")(topics.show)
app.add_typer(topics_app, name="topics", rich_help_panel=LOOK)

config_app = typer.Typer(help="Settings.", no_args_is_help=True)
config_app.command("show")(config.show)
config_app.command("example")(config.example)
app.add_typer(config_app, name="config", rich_help_panel=LOOK)

schema_app = typer.Typer(help="The messages of the contract as JSON Schema.", no_args_is_help=True)
schema_app.command("list")(schema.show)
schema_app.command("export")(schema.export)
app.add_typer(schema_app, name="schema", rich_help_panel=LOOK)


def main() -> None:
    """The console script."""
    app()
