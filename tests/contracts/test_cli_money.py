"""`novix org`, `tenant`, `tier`, `policy`, `budget`: what they publish, what they refuse, what they show."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from money_log import LARGE, SMALL, account, charge, decided, ended, outgoing_decision, outgoing_end

from runtime.ports import Outgoing
from schemas.accounts import AccountRecord, Budget, Organisation, Tenant
from schemas.policies import PolicyRecord
from schemas.topics import BUDGETS, LEDGER, POLICIES

NOW = datetime.now(UTC)


def events(log, topic=BUDGETS, record=AccountRecord):
    assert not [place for place in log.records if place[0] == topic.name and place[1] != 0]
    return [record.model_validate_json(one.value).event for one in log.records.get((topic.name, 0), [])]


def rules(log):
    return events(log, POLICIES, PolicyRecord)


def done(novix, *words):
    told = novix(*words)
    assert told.exit_code == 0, told.stderr
    return told


def lines(told):
    return [line.split("\t") for line in told.stdout.splitlines()]


@pytest.fixture
def acme(log):
    """An organisation, one tenant of it, one funded budget."""
    for event in (
        Organisation(at=NOW, organisation="org", bill_to="acme-inc"),
        Tenant(at=NOW, tenant="acme", organisation="org", tier="enterprise", time_zone="Europe/Berlin"),
        Budget(at=NOW, tenant="acme", id="all", window="total", limit_nanousd=5_000_000_000, funded=True),
    ):
        log.append(account(event))
    return log


def test_an_organisation_a_tenant_and_a_budget_are_events_of_one_history_with_who_said_so(novix, log):
    done(novix, "org", "create", "org", "--bill-to", "acme-inc")
    done(
        novix, "tenant", "set", "acme", "--organisation", "org", "--tier", "enterprise", "--time-zone", "Europe/Berlin"
    )
    done(novix, "budget", "set", "acme", "all", "--limit", "5.00")

    organisation, tenant, budget = events(log)

    assert (organisation.organisation, organisation.bill_to) == ("org", "acme-inc")
    assert (tenant.tenant, tenant.organisation, tenant.tier, tenant.time_zone) == (
        "acme", "org", "enterprise", "Europe/Berlin",
    )  # fmt: skip
    assert (budget.id, budget.limit_nanousd, budget.window, budget.hard) == ("all", 5_000_000_000, "month", True)
    assert [one.by.split(" by ")[0] for one in (organisation, tenant, budget)] == [
        "novix org create", "novix tenant set", "novix budget set",
    ]  # fmt: skip


def test_what_is_not_named_stays_as_it_was(novix, acme):
    done(novix, "tenant", "set", "acme", "--models", "org/a, org/b", "--residency", "regional", "--regions", "eu")
    done(novix, "tenant", "set", "acme", "--over-limit", "refuse", "--models", "")
    done(novix, "budget", "set", "acme", "all", "--soft", "--tag", "project=x=y", "--alerts", "10,90%")
    done(novix, "budget", "set", "acme", "all", "--limit", "0.000000001")

    tenant = [one for one in events(acme) if one.kind == "tenant"][-1]
    budget = events(acme)[-1]
    assert (tenant.time_zone, tenant.models, tenant.regions, tenant.over_limit) == (
        "Europe/Berlin",
        (),
        ("eu",),
        "refuse",
    )
    assert (budget.limit_nanousd, budget.hard, budget.tag, budget.alert_percent, budget.funded) == (
        1, False, ("project", "x=y"), (10, 90), True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["budget", "set", "acme", "b", "--limit", "-5"], ["--limit", "'-5'", "0.00"]),
        (["budget", "set", "acme", "b", "--limit", "NaN"], ["--limit", "'NaN'"]),
        (["budget", "set", "acme", "b", "--limit", "1e9"], ["--limit", "'1e9'", "1000000.00"]),
        (["budget", "set", "acme", "b", "--limit", "0.0000000001"], ["--limit", "fraction of a nano-dollar"]),
        (["budget", "set", "acme", "b"], ["--limit"]),
        (["budget", "set", "acme", "b", "--limit", "1", "--window", "week"], ["window 'week'", "'month'"]),
        (["budget", "set", "acme", "b c", "--limit", "1"], ["id 'b c'"]),
        (["budget", "set", "a/b", "b", "--limit", "1"], ["tenant 'a/b'", "slash"]),
        (["budget", "set", "acme", "b", "--limit", "1", "--tag", "x"], ["--tag 'x'", "LABEL=VALUE"]),
        (["budget", "set", "acme", "b", "--limit", "1", "--alerts", "0,x"], ["--alerts"]),
        (["tenant", "set", "acme", "--time-zone", "Mars/Olympus"], ["--time-zone 'Mars/Olympus'", "IANA"]),
        (["tenant", "set", "acme", "--time-zone", "../../etc/passwd"], ["--time-zone", "IANA"]),
        (["tenant", "set", "acme", "--tier", "gold"], ["--tier 'gold'", "government"]),
        (["tenant", "set", "acme", "--residency", "mars"], ["residency 'mars'", "sovereign"]),
        (["tenant", "set", "acme", "--unknown-price-cap", "-1"], ["--unknown-price-cap", "'-1'"]),
        (["tier", "set", "gold", "--rpm", "0"], ["requests_per_minute 0"]),
        (["tier", "set", "gold", "--rpm", "many"], ["--rpm 'many'"]),
        (["tier", "set", "gold", "--weight", "5000"], ["weight 5000", "1000"]),
        (["tier", "set", "gold", "--availability", "101"], ["--availability '101'"]),
        (["org", "create", "a b"], ["organisation 'a b'"]),
        (["org", "create", "org", "--bill-to", "a b"], ["bill_to 'a b'"]),
        (["org", "transfer", "org", "acme", "all", "0"], ["AMOUNT", "'0'"]),
        (["org", "transfer", "org", "acme", "all", "1", "--back"], ["$1.00", "$0.00"]),
        (["org", "transfer", "org", "acme", "closed", "1"], ["'closed'", "takes no transfers"]),
        (["org", "transfer", "org", "stranger", "all", "1"], ["belongs to none"]),
    ],
)
def test_what_cannot_be_meant_is_refused_with_value_and_limit_and_nothing_is_published(novix, acme, words, named):
    acme.append(account(Budget(at=NOW, tenant="acme", id="closed", limit_nanousd=1)))
    acme.append(account(Budget(at=NOW, tenant="stranger", id="all", limit_nanousd=1, funded=True)))
    before = len(events(acme))

    refused = novix(*words)

    assert refused.exit_code == 2
    assert all(part in refused.stderr for part in named), refused.stderr
    assert (len(events(acme)), rules(acme)) == (before, [])


@pytest.mark.parametrize(
    "words",
    [
        ["org", "transfer", "none", "acme", "all", "1"],
        ["tenant", "set", "acme", "--organisation", "none"],
        ["org", "transfer", "org", "acme", "none", "1"],
        ["budget", "remove", "acme", "none"],
        ["budget", "explain", "acme", "none"],
        ["tier", "show", "none"],
        ["tier", "set", "none", "--remove"],
        ["tenant", "set", "none", "--remove"],
    ],
)
def test_what_there_is_not_is_not_known(novix, acme, words):
    assert novix(*words).exit_code == 3


def test_a_transfer_is_handed_over_once_however_often_it_is_said(novix, acme):
    words = ["org", "transfer", "org", "acme", "all", "2.50", "--id", "november", "--json"]

    told = [json.loads(done(novix, *words).stdout) for _ in range(2)]
    other = novix("org", "transfer", "org", "acme", "all", "3", "--id", "november")
    back = json.loads(done(novix, "org", "transfer", "org", "acme", "all", "1", "--back", "--json").stdout)

    assert [(one["done_before"], one["funded_nanousd"]) for one in told] == [
        (False, 2_500_000_000),
        (True, 2_500_000_000),
    ]
    assert (other.exit_code, back["funded_nanousd"]) == (2, 1_500_000_000)
    assert [one.nanousd for one in events(acme)[3:]] == [2_500_000_000, -1_000_000_000]
    [shown] = json.loads(done(novix, "org", "show", "--json").stdout)
    assert (shown["tenants"], shown["handed_nanousd"], len(shown["transfers"])) == (["acme"], 1_500_000_000, 2)
    assert "handed     $1.50" in done(novix, "org", "show", "org").stdout


def test_a_tenants_terms_are_shown_completed_from_its_tier(novix, acme):
    [told] = json.loads(done(novix, "tenant", "show", "acme", "--json").stdout)
    nobody = done(novix, "tenant", "show", "somebody").stdout

    assert (told["requests_per_minute"], told["bill_to"], told["budgets"]) == (100_000, "acme-inc", ["all"])
    assert "no record of its own" in nobody
    assert "no rate limit" in nobody


def test_a_tenant_may_be_removed_and_is_as_any_other(novix, acme):
    done(novix, "tenant", "set", "acme", "--remove")

    assert json.loads(done(novix, "tenant", "show", "--json").stdout) == []


def test_the_briefs_tiers_are_built_in_and_may_be_replaced_and_restored(novix, log):
    def rates():
        return {one["tier"]: one["requests_per_minute"] for one in json.loads(novix("tier", "show", "--json").stdout)}

    built_in = {"default": None, "standard": 10_000, "enterprise": 100_000, "government": 500_000}
    assert rates() == built_in
    done(novix, "tier", "set", "standard", "--rpm", "12", "--availability", "99.95%", "--weight", "3")
    done(novix, "tier", "set", "gold", "--rpm", "none", "--dedicated")
    assert rates() == {**built_in, "standard": 12, "gold": None}
    assert [(one.tier, one.weight, one.availability_ppm) for one in rules(log)] == [
        ("standard", 3, 999_500), ("gold", 1, None),
    ]  # fmt: skip
    done(novix, "tier", "set", "standard", "--remove")
    assert rates()["standard"] == 10_000


def test_a_tier_that_is_taken_away_names_the_tenants_that_had_it(novix, log):
    done(novix, "tier", "set", "gold", "--rpm", "5")
    done(novix, "tenant", "set", "acme", "--tier", "gold")

    assert "acme" in done(novix, "tier", "set", "gold", "--remove").stderr


def test_policies_of_a_file_are_put_in_force_and_shown(novix, log, tmp_path):
    file = tmp_path / "new.yaml"
    file.write_text(
        "policies:\n- policy: brief/1\n  parameters: {cheap_below: 0.3}\n- {tenant: acme, policy: cheapest/1}\n"
    )

    assert "good: tenant acme: cheapest/1" in done(novix, "policy", "check", file).stdout
    assert rules(log) == []
    told = json.loads(done(novix, "policy", "set", file, "--json").stdout)

    assert (told["policies_version"], [one.policy for one in rules(log)]) == (2, ["brief/1", "cheapest/1"])
    rows = lines(done(novix, "policy", "show"))
    assert [row[:4] for row in rows] == [
        ["(everybody)", "brief/1", "cheap_below=0.3", "tenant *"],
        ["acme", "cheapest/1", "", "tenant acme"],
    ]


def test_a_policy_file_with_an_unknown_field_is_refused_with_its_line_and_the_old_one_stays(novix, log, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("policies:\n- policy: cheapest/1\n- tenant: acme\n  policy: brief/1\n  parameters: {colour: 1}\n")

    for command in ("check", "set"):
        refused = novix("policy", command, file)
        assert (refused.exit_code, "bad.yaml:5: " in refused.stderr, "colour" in refused.stderr) == (2, True, True)
    assert rules(log) == []
    assert novix("policy", "set", tmp_path / "none.yaml").exit_code == 2


# what was spent


@pytest.fixture
def spent(acme):
    """Three jobs of this month: one paid, one open, one that may have been paid."""
    at = NOW - timedelta(seconds=30)
    done_, open_, unsure = (
        decided("done", 9_000, at=at, team="red", places=(SMALL, LARGE)),
        decided("open", 5_000, at=at, team="blue", deadline=NOW + timedelta(days=1)),
        decided("unsure", 7_000, at=at),
    )  # fmt: skip
    for one in (done_, open_, unsure):
        acme.append(outgoing_decision(one, acme.partitions))
    acme.append(outgoing_end(ended(done_, charge(1_200), charge(300, LARGE, attempt=2)), acme.partitions))
    acme.append(outgoing_end(ended(unsure, charge(7_000, ambiguous=True, source="estimated")), acme.partitions))
    return acme


def test_a_budget_shows_what_is_spent_reserved_and_left_as_its_home_lane_has_it(novix, spent):
    [told] = json.loads(done(novix, "budget", "show", "acme", "--json").stdout)
    [row] = lines(done(novix, "budget", "show"))

    assert (told["spent_nanousd"], told["reserved_nanousd"]) == (8_500, 5_000)
    assert told["available_nanousd"] == 5_000_000_000 - 8_500 - 5_000
    assert row[0] == "acme/all"
    assert row[2:6] == ["$5.00", "$0.0000085", "$0.000005", "$4.9999865"]


def test_a_record_about_budgets_that_nobody_can_read_is_told_with_them(novix, spent):
    spent.append(Outgoing(BUDGETS.name, b"", b'{"event": {"kind": "budget", "limit_nanousd": -1}}', partition=0))

    told = done(novix, "budget", "show", "acme").stderr

    assert f"of {BUDGETS.name} was passed over" in told
    assert "event.budget" in told


def test_explain_says_what_used_a_budget_up_and_what_is_open_and_why(novix, spent):
    done(novix, "budget", "set", "acme", "all", "--limit", "0.0000085")
    document = json.loads(done(novix, "budget", "explain", "acme", "all", "--json").stdout)
    told = done(novix, "budget", "explain", "acme", "all").stdout

    assert document["parts"]["model"] == {"org/small": 8_200, "org/large": 300}
    assert document["parts"]["team"] == {"-": 7_000, "red": 1_500}
    assert document["dearest"][0] == {"job": "acme/unsure/1", "nanousd": 7_000}
    assert [(one["job"], one["leaked"]) for one in document["open_reservations"]] == [("acme/open/1", False)]
    assert document["lane"] == {"spent_nanousd": 8_500, "reserved_nanousd": 5_000}
    for part in (
        "hard, window total", "it never begins anew",
        "$0.0000085 = $0.0000085 spent + $0.000005 reserved - $0.000005 over it",
        "model      org/small $0.0000082; org/large $0.0000003", "acme/open/1: running: its deadline is in",
        "1 call may have been paid without an answer, $0.000007 at most", "nothing is left: $0.000005 come back",
    ):  # fmt: skip
        assert part in told, told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "1.00"], "$0.9999865 is left: a job that may cost more than that waits, or is refused"),
        (["--limit", "0.00", "--soft"], "it is soft: it gives alerts, and no job waits or is refused for it"),
        (["--limit", "0.00"], "nothing is left: more is spent than the limit"),
    ],
)
def test_explain_says_what_follows_for_the_next_job(novix, spent, options, words):
    done(novix, "budget", "set", "acme", "all", *options)

    assert words in done(novix, "budget", "explain", "acme", "all").stdout


def test_a_budget_that_was_taken_away_limits_nothing(novix, spent):
    done(novix, "budget", "remove", "acme", "all")

    assert "no budget" in done(novix, "budget", "show", "acme").stderr
    assert events(spent)[-1].removed


def test_money_that_no_router_wrote_is_not_summed_but_told(novix, spent):
    [home] = [partition for topic, partition in spent.records if topic == LEDGER.name]
    spent.append(Outgoing(LEDGER.name, b"0", b"no json", partition=home))

    refused = novix("budget", "show", "acme")

    assert (refused.exit_code, f"the money of partition {home} cannot be read" in refused.stderr) == (1, True)
