"""`novix`: the command line. One file per family in `console/commands`; heavy imports happen inside the commands."""

import sys

import typer

from console.commands import (
    alerts,
    alias,
    audit,
    bench,
    bench_models,
    blob,
    breakers,
    budget,
    cancel,
    compare,
    config,
    demo,
    dlq,
    doctor,
    endpoint_costs,
    endpoints,
    evals,
    hub_recommend,
    hub_scan,
    hub_search,
    hub_sync,
    jobs,
    ledger,
    org,
    policy,
    price_words,
    prices,
    publish,
    quote,
    reconcile,
    registry,
    replay,
    request,
    results,
    returns,
    schema,
    services,
    slo,
    tenant,
    tier,
    topics,
    topology,
    whatif,
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
MONEY = "Money and rules"

app.command("up", rich_help_panel=SYSTEM)(world.up)
app.command("status", rich_help_panel=SYSTEM)(world.status)
app.command("down", rich_help_panel=SYSTEM)(world.down)
app.command("demo", rich_help_panel=SYSTEM)(demo.demo)
app.command("doctor", rich_help_panel=SYSTEM)(doctor.doctor)
app.command("router", rich_help_panel=SYSTEM)(services.router)
app.command("worker", rich_help_panel=SYSTEM)(services.worker)
app.command("console", rich_help_panel=SYSTEM)(services.console)
app.command("relay", rich_help_panel=SYSTEM)(services.relay)
app.command("breakers", rich_help_panel=SYSTEM)(breakers.breakers)
app.command("topology", rich_help_panel=SYSTEM)(topology.topology)

app.command("run", rich_help_panel=WORK)(jobs.run)
app.command("publish", rich_help_panel=WORK)(publish.publish)
app.command("quote", rich_help_panel=WORK)(quote.quote)
app.command("request", rich_help_panel=WORK)(request.request)
app.command("results", rich_help_panel=WORK)(results.results)
app.command("why", rich_help_panel=WORK)(why.why)
app.command("cancel", rich_help_panel=WORK)(cancel.cancel)

app.command("replay", rich_help_panel=MONEY)(replay.replay)
app.command("whatif", rich_help_panel=MONEY)(whatif.whatif)
app.command("tune", rich_help_panel=MONEY)(whatif.tune)
app.command("regret", rich_help_panel=MONEY)(returns.regret)
app.command("savings", rich_help_panel=MONEY)(returns.savings)
app.command("roi", rich_help_panel=MONEY)(returns.roi)
app.command("value", rich_help_panel=MONEY)(returns.value)

bench_app = typer.Typer(cls=bench.Bench, help="Throughput, latency and cost, measured with real jobs.")
bench_app.command(bench.DEFAULT)(bench.bench)
bench_app.command("models")(bench_models.models)
app.add_typer(bench_app, name="bench", rich_help_panel=SYSTEM)

app.command("compare", rich_help_panel=LOOK)(compare.compare)
eval_app = typer.Typer(help="How good models are on labelled examples.", no_args_is_help=True)
eval_app.command("run")(evals.run)
eval_app.command("list")(evals.show_list)
eval_app.command("show")(evals.show)
app.add_typer(eval_app, name="eval", rich_help_panel=WORK)

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

audit_app = typer.Typer(help="Who did what, so that an outsider can verify it.", no_args_is_help=True)
audit_app.command("verify")(audit.verify)
audit_app.command("prove")(audit.prove)
audit_app.command("export")(audit.export)
audit_app.command("key")(audit.key)
audit_app.command("checkpoint")(audit.checkpoint)
app.add_typer(audit_app, name="audit", rich_help_panel=LOOK)

prices_app = typer.Typer(cls=prices.Prices, help="What units cost, since when, and who says so.")
prices_app.command("show")(prices.show)
prices_app.command("spread")(prices.spread)
prices_app.command("approve")(price_words.approve)
prices_app.command("set")(price_words.set_)
prices_app.command("unset")(price_words.unset)
prices_app.command("import")(price_words.import_)
app.add_typer(prices_app, name="prices", rich_help_panel=MONEY)

budget_app = typer.Typer(help="What tenants may spend, and what used it up.", no_args_is_help=True)
budget_app.command("set")(budget.set_)
budget_app.command("remove")(budget.remove)
budget_app.command("show")(budget.show)
budget_app.command("explain")(budget.explain)
app.add_typer(budget_app, name="budget", rich_help_panel=MONEY)

ledger_app = typer.Typer(
    help="What was reserved, spent and given back; and what a bill says of it.", no_args_is_help=True
)
ledger_app.command("balance")(ledger.balance)
ledger_app.command("statement")(ledger.statement)
ledger_app.command("open")(ledger.show_open)
ledger_app.command("ambiguous")(ledger.ambiguous)
ledger_app.command("release")(ledger.release)
ledger_app.command("reconcile")(reconcile.reconcile)
ledger_app.command("bill")(reconcile.bill)
app.add_typer(ledger_app, name="ledger", rich_help_panel=MONEY)

org_app = typer.Typer(help="Organisations: who holds the account, and hands allotments over.", no_args_is_help=True)
org_app.command("create")(org.create)
org_app.command("show")(org.show)
org_app.command("transfer")(org.transfer)
app.add_typer(org_app, name="org", rich_help_panel=MONEY)

tenant_app = typer.Typer(help="Tenants' terms.", no_args_is_help=True)
tenant_app.command("set")(tenant.set_)
tenant_app.command("show")(tenant.show)
app.add_typer(tenant_app, name="tenant", rich_help_panel=MONEY)

tier_app = typer.Typer(help="Tiers: what their tenants may have.", no_args_is_help=True)
tier_app.command("set")(tier.set_)
tier_app.command("show")(tier.show)
app.add_typer(tier_app, name="tier", rich_help_panel=MONEY)

policy_app = typer.Typer(help="How jobs are routed.", no_args_is_help=True)
policy_app.command("set")(policy.set_)
policy_app.command("show")(policy.show)
policy_app.command("check")(policy.check)
app.add_typer(policy_app, name="policy", rich_help_panel=MONEY)

hub_app = typer.Typer(help="Models: find, compare, look into.", no_args_is_help=True)
hub_app.command("sync")(hub_sync.sync)
hub_app.command("status")(hub_sync.status)
hub_app.command("search")(hub_search.search)
hub_app.command("show")(hub_search.show)
hub_app.command("serve")(hub_sync.serve)
hub_app.command("recommend")(hub_recommend.recommend)
hub_app.command("scan")(hub_scan.scan)
app.add_typer(hub_app, name="hub", rich_help_panel=LOOK)

registry_app = typer.Typer(help="Which models may be used, by whom, since when.", no_args_is_help=True)
registry_app.command("admit")(registry.admit)
registry_app.command("withdraw")(registry.withdraw)
registry_app.command("rules")(registry.rules)
registry_app.command("show")(registry.show)
registry_app.command("allowed")(registry.allowed)
app.add_typer(registry_app, name="registry", rich_help_panel=MONEY)

alias_app = typer.Typer(help="Short names for models, with versions.", no_args_is_help=True)
alias_app.command("set")(alias.set_)
alias_app.command("list")(alias.show_list)
alias_app.command("history")(alias.history)
alias_app.command("rollback")(alias.rollback)
alias_app.command("remove")(alias.remove)
app.add_typer(alias_app, name="alias", rich_help_panel=MONEY)

endpoints_app = typer.Typer(help="Dedicated Inference Endpoints.", no_args_is_help=True)
endpoints_app.command("run")(endpoints.run)
endpoints_app.command("list")(endpoints.show_list)
endpoints_app.command("show")(endpoints.show)
endpoints_app.command("logs")(endpoints.logs)
endpoints_app.command("create")(endpoints.create)
endpoints_app.command("update")(endpoints.update)
endpoints_app.command("pause")(endpoints.pause)
endpoints_app.command("resume")(endpoints.resume)
endpoints_app.command("sleep")(endpoints.sleep)
endpoints_app.command("delete")(endpoints.delete)
endpoints_app.command("quota")(endpoints.quota)
endpoints_app.command("costs")(endpoint_costs.costs)
app.add_typer(endpoints_app, name="endpoints", rich_help_panel=SYSTEM)

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
