"""Settings: where each value comes from, and that a bad one is refused by name with what is allowed."""

from pathlib import Path

import pytest

from runtime.dead_values import dead_value
from runtime.settings import BadSettings, Loaded, Settings, load, names_of, resolve, variable

BRIEF = """\
# Core Configuration
AI_PROVIDER=huggingface
HF_API_VERSION=2.4

# Security Settings
HF_API_KEY=org_${ENCRYPTED_TOKEN}
HF_ENTERPRISE_ENDPOINT=https://api.enterprise.huggingface.co

# Model Deployment
HF_TEXT_MODEL=HuggingFaceH4/zephyr-7b-enterprise
HF_IMAGE_MODEL=stabilityai/stable-diffusion-xl-enterprise
HF_MAX_TOKENS=8192

# Performance Tuning
HF_TEMPERATURE=0.7
HF_TOP_P=0.95
HF_MAX_RETRIES=5
"""
"""The brief's own `.env`, word for word."""
SECRET = "hf_CANARY7f3"


def settings(**values: str) -> Settings:
    return resolve(values, {}, {}).settings


def refused(**values: str) -> str:
    with pytest.raises(BadSettings) as error:
        settings(**values)
    return str(error.value)


def started(folder: Path, text: str, environment: dict[str, str] | None = None) -> Loaded:
    (folder / ".env").write_text(text)
    return load({"NOVIX_HOME": str(folder / "home"), **(environment or {})}, folder)


# bad values


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("NOVIX_KAFKA_BOOTSTRAP", "localhost", "must be host:port, comma-separated"),
        ("NOVIX_KAFKA_BOOTSTRAP", "a:1,b:99999", "must be host:port, comma-separated"),
        ("NOVIX_KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ("NOVIX_KAFKA_SASL_MECHANISM", "GSSAPI", "'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ("NOVIX_TOPIC_PREFIX", "a/b", "^[A-Za-z0-9._-]*$"),
        ("NOVIX_INSTANCE_ID", "a b", "^[A-Za-z0-9._-]*$"),
        ("NOVIX_HF_ROUTER_URL", "ftp://x", "must be http(s)://host[:port][/path] without user or query"),
        ("NOVIX_HF_ROUTER_URL", "http://[::1", "must be http(s)://host[:port][/path] without user or query"),
        ("NOVIX_HF_HUB_URL", "https://x?a=b", "must be http(s)://host[:port][/path] without user or query"),
        ("NOVIX_SANDBOX_URL", "http://x:123456", "must be http(s)://host[:port][/path] without user or query"),
        ("NOVIX_AI_PROVIDER", "openai", "'huggingface'"),
        ("NOVIX_MAX_TOKENS", "0", "greater than or equal to 1"),
        ("NOVIX_MAX_TOKENS", "many", "valid integer"),
        ("NOVIX_TEMPERATURE", "2.5", "less than or equal to 2"),
        ("NOVIX_TEMPERATURE", "nan", "finite number"),
        ("NOVIX_TOP_P", "0", "greater than 0"),
        ("NOVIX_DEFAULT_MAX_COST_NANOUSD", "-1", "greater than or equal to 0"),
        ("NOVIX_MAX_IN_FLIGHT", "10001", "less than or equal to 10000"),
        ("NOVIX_MAX_RETRIES", "1.5", "valid integer"),
        ("NOVIX_BREAKER", "maybe", "must be true or false"),
        ("NOVIX_BREAKER_RESET_S", "inf", "finite number"),
        ("NOVIX_BREAKER_RESET_S", "604801", "less than or equal to 604800"),
        ("NOVIX_HEALTH_PORT", "65536", "less than or equal to 65535"),
        ("NOVIX_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("NOVIX_PARTITIONS", "0", "greater than or equal to 1"),
        ("HF_MAX_TOKENS", "lots", "valid integer"),
        ("AI_PROVIDER", "openai", "'huggingface'"),
        ("HF_API_VERSION", "3", "the only known version is 2.4"),
    ],
)
def test_a_bad_value_is_refused_with_the_variable_the_value_and_what_is_allowed(name: str, value: str, allowed: str):
    told = refused(**{name: value})

    assert told.startswith(f"{name}={value!r}: ")
    assert allowed in told


def test_values_that_do_not_go_together_are_both_named():
    assert refused(NOVIX_HEARTBEAT_INTERVAL_MS="20000") == (
        "NOVIX_HEARTBEAT_INTERVAL_MS=20000: must be at most a third of NOVIX_SESSION_TIMEOUT_MS=45000"
    )
    assert refused(NOVIX_KAFKA_SECURITY_PROTOCOL="SASL_SSL") == (
        "NOVIX_KAFKA_USERNAME='': must not be empty with NOVIX_KAFKA_SECURITY_PROTOCOL=SASL_SSL"
    )


def test_all_bad_values_are_told_at_once():
    assert len(refused(NOVIX_PARTITIONS="0", NOVIX_TOP_P="7", NOVIX_BREAKER="?").splitlines()) == 3


@pytest.mark.parametrize("field", Settings.model_fields)
def test_no_refusal_and_no_representation_shows_a_secret(field: str):
    hostile = f"https://user:{SECRET}@attestation.hf.co/"
    annotation = repr(Settings.model_fields[field].annotation)

    try:
        now = resolve({variable(field): hostile}, {}, {}).settings
        told = repr(now) if "SecretStr" in annotation else ""  # other settings may show what they were given
    except BadSettings as error:
        told = str(error)

    assert SECRET not in told


def test_an_address_may_have_no_user_and_the_refusal_hides_the_one_it_has():
    told = refused(NOVIX_HF_ROUTER_URL=f"https://me:{SECRET}@router.huggingface.co")

    assert told.startswith("NOVIX_HF_ROUTER_URL='https://(hidden)@router.huggingface.co': must be http(s)://")


def test_tokens_are_never_shown(tmp_path: Path):
    loaded = started(tmp_path, f"HF_TOKEN={SECRET}\n")

    assert loaded.settings.hf_token.get_secret_value() == SECRET
    assert SECRET not in repr(loaded) + str(loaded.settings.model_dump())


# the brief's own names


def test_the_briefs_env_is_refused_with_what_to_write_instead_of_each_dead_value(tmp_path: Path):
    with pytest.raises(BadSettings) as error:
        started(tmp_path, BRIEF)

    told = str(error.value).splitlines()
    assert [line.split("=")[0].split(":")[0] for line in told] == [
        "HF_API_KEY",
        "HF_ENTERPRISE_ENDPOINT",
        "HF_TEXT_MODEL",
        "HF_IMAGE_MODEL",
    ]
    assert "write HF_API_KEY=hf_... or NOVIX_HF_TOKEN_SEALED_FILE" in told[0]
    assert "org_" not in told[0]
    assert "https://api.enterprise.huggingface.co" in told[1]
    assert "https://router.huggingface.co" in told[1]
    assert all("write `auto` or a model of the catalogue" in line for line in told[2:])


def test_the_briefs_env_starts_once_the_dead_values_are_mended(tmp_path: Path):
    mended = (
        BRIEF.replace("org_${ENCRYPTED_TOKEN}", SECRET)
        .replace("https://api.enterprise.huggingface.co", "https://router.huggingface.co")
        .replace("HuggingFaceH4/zephyr-7b-enterprise", "auto")
        .replace("stabilityai/stable-diffusion-xl-enterprise", "auto")
    )

    loaded = started(tmp_path, mended)

    now = loaded.settings
    assert (now.ai_provider, now.hf_api_version, now.hf_router_url) == (
        "huggingface",
        "2.4",
        "https://router.huggingface.co",
    )
    assert (now.max_tokens, now.temperature, now.top_p, now.max_retries) == (8192, 0.7, 0.95, 5)
    assert (now.text_model, now.image_model) == ("auto", "auto")
    assert now.hf_token.get_secret_value() == SECRET
    for field in ("ai_provider", "hf_api_version", "hf_token", "hf_router_url", "text_model", "max_retries"):
        assert loaded.sources[field] == ".env"


@pytest.mark.parametrize("line", BRIEF.split("\n"))
def test_each_line_of_the_briefs_env_sets_something(line: str):
    if not line or line.startswith("#"):
        return
    name = line.split("=", maxsplit=1)[0]

    assert any(name in names_of(field) for field in Settings.model_fields)


@pytest.mark.parametrize("host", ["api-inference.huggingface.co", "api.enterprise.huggingface.co"])
def test_a_host_that_is_gone_is_refused_under_every_name_that_holds_an_address(host: str):
    for name in ("NOVIX_HF_ROUTER_URL", "HF_ENTERPRISE_ENDPOINT", "NOVIX_EGRESS_HOSTS"):
        assert "router.huggingface.co" in (dead_value(name, f"https://{host}/models") or "")


# sources


def test_the_stronger_source_wins_and_each_value_tells_its_own():
    loaded = resolve(
        {"NOVIX_PARTITIONS": "1"},
        {"NOVIX_PARTITIONS": "2", "NOVIX_REPLICATION": "2"},
        {"NOVIX_PARTITIONS": "3", "NOVIX_REPLICATION": "3", "NOVIX_SANDBOX_URL": "http://127.0.0.1:9"},
    )

    now = loaded.settings
    assert (now.partitions, now.replication, now.sandbox_url, now.max_tokens) == (1, 2, "http://127.0.0.1:9", 8192)
    assert [loaded.sources[name] for name in ("partitions", "replication", "sandbox_url", "max_tokens")] == [
        "environment",
        ".env",
        "novix up",
        "default",
    ]


def test_our_own_name_wins_over_an_alias_within_a_source_and_a_stronger_source_over_both():
    within = resolve({"NOVIX_HF_TOKEN": "hf_ours", "HF_TOKEN": "hf_alias"}, {}, {})
    across = resolve({"HF_TOKEN": "hf_alias"}, {"NOVIX_HF_TOKEN": "hf_ours"}, {})

    assert within.settings.hf_token.get_secret_value() == "hf_ours"
    assert across.settings.hf_token.get_secret_value() == "hf_alias"


def test_an_empty_variable_sets_nothing():
    assert resolve({"NOVIX_PARTITIONS": ""}, {"NOVIX_PARTITIONS": "4"}, {}).settings.partitions == 4


def test_the_three_sources_are_read_from_where_they_are(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "state.json").write_text('{"environment": {"NOVIX_KAFKA_BOOTSTRAP": "127.0.0.1:19092"}}')

    loaded = started(tmp_path, "NOVIX_TOPIC_PREFIX=blue.\n", {"NOVIX_LOG_LEVEL": "debug"})

    assert loaded.settings.kafka_bootstrap == "127.0.0.1:19092"
    assert loaded.settings.named("inference.jobs.v1") == "blue.inference.jobs.v1"
    assert loaded.settings.log_level == "debug"
    assert loaded.sources["kafka_bootstrap"] == "novix up"


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"environment": 5}', "\x00"])
def test_a_damaged_state_file_is_as_if_nothing_ran(tmp_path: Path, state: str):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "state.json").write_text(state)

    assert started(tmp_path, "").settings.kafka_bootstrap == "127.0.0.1:9092"


def test_an_env_file_that_is_no_utf8_is_refused_by_name(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"NOVIX_PARTITIONS=3\nHF_TOKEN=\xff\n")

    with pytest.raises(BadSettings, match=r"\.env: byte \d+ is not UTF-8"):
        load({}, tmp_path)


def test_a_variable_that_sets_nothing_is_told():
    assert resolve({"NOVIX_PARTITION": "3", "PATH": "x"}, {"NOVIX_HOMME": "y"}, {}).unknown == (
        "NOVIX_HOMME",
        "NOVIX_PARTITION",
    )


def test_folders_are_absolute_by_default_as_well():
    for now in (
        resolve({}, {}, {}).settings,
        settings(NOVIX_HOME="~/x", NOVIX_CACHE="y"),
        settings(NOVIX_HOME="~nobody-here/x"),
    ):
        assert now.home.is_absolute()
        assert now.cache.is_absolute()
    assert settings(NOVIX_HOME="~/x").home == Path.home() / "x"


def test_an_address_may_end_in_a_slash_or_in_v1_and_is_the_same():
    for text in ("https://x.example", "https://x.example/", "https://x.example/v1", "https://x.example/v1/"):
        assert settings(NOVIX_HF_ROUTER_URL=text).hf_router_url == "https://x.example"


def test_every_setting_has_one_variable_a_meaning_and_no_alias_twice():
    names = [name for field in Settings.model_fields for name in names_of(field)]

    assert len(names) == len(set(names))
    assert all((info.description or "").endswith(".") for info in Settings.model_fields.values())
