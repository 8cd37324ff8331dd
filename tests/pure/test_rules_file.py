"""A policy file is read whole, or refused with its line and the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.policies.file import MOST_BYTES, BadPolicyFile, read

GOOD = """\
policies:
  - policy: brief/1
    parameters: {cheap_below: 0.35}
  - tenant: acme
    policy: pinned/1
    parameters:
      order:
        - model: openai/gpt-oss-120b
"""


def test_a_file_gives_a_policy_for_each_tenant() -> None:
    everybody, acme = read(GOOD, "new.yaml", by="ops")
    assert (everybody.tenant, everybody.policy, everybody.parameters) == ("*", "brief/1", {"cheap_below": 0.35})
    assert (acme.tenant, acme.policy, acme.by) == ("acme", "pinned/1", "ops")


def test_one_policy_needs_no_list_and_json_is_read_too() -> None:
    assert read("policy: cheapest/1", "a")[0].policy == "cheapest/1"
    assert read('{"policies": [{"policy": "fastest/1"}]}', "a")[0].policy == "fastest/1"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GOOD.replace("0.35", "35"), 3, "parameters.cheap_below: Input should be less than or equal to 1"),
        (GOOD.replace("cheap_below", "chepa"), 3, "chepa"),
        (GOOD.replace("pinned/1", "pined/1"), 5, "'pined/1' is none of"),
        (GOOD.replace("- model: openai/gpt-oss-120b", "- provider: groq"), 8, "parameters.order.0.model"),
        (GOOD.replace("tenant: acme", "tenat: acme"), 4, "unknown field 'tenat'"),
        (GOOD.replace("tenant: acme", "tenant: 'a b'"), 4, "slash nor a space"),
        (GOOD.replace("  - tenant: acme\n    policy", "  - policy"), 4, "has a policy in this file already"),
        (GOOD + "tiers: []\n", 9, "unknown field 'tiers'"),
        (GOOD.replace("policies:", "policies: {"), 2, "no YAML"),
        ("policy: brief/1\npolicy: cheapest/1\n", 2, "told twice"),
        ("a: &a [x]\npolicies: *a\n", 2, "aliases"),
        ("policies: []", 1, "not empty"),
        ("- policy: brief/1", 1, "must be a policy"),
        ("", 1, "empty"),
        ("policy: brief/1\n# " + "x" * MOST_BYTES, 1, "it may have 262144"),
        ("policy: brief/1\nparameters: {cheap_below: .nan}", 2, "finite"),
        ("policies:\n  - 7\n", 2, "must be a policy"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(BadPolicyFile) as refused:
        read(text, "new.yaml")
    assert str(refused.value).startswith(f"new.yaml:{line}: ")
    assert reason in str(refused.value)


@given(st.text(max_size=200) | st.text("policies: -{}[]&*!|>'\"\n\t0.5", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    told = "x:"
    try:
        assert read(text, "x")
    except BadPolicyFile as refused:
        told = str(refused)
    assert told.startswith("x:")
