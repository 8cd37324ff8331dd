"""Where a call may go: the list of hosts, the addresses behind them, and who is shown a token."""

import pytest
from httpx import URL

from runtime.http.egress import CREDENTIAL_HEADERS, Egress

ROUTER = "https://router.huggingface.co"
EGRESS = Egress(
    [ROUTER, "https://*.endpoints.huggingface.cloud/x", "http://127.0.0.1:8901", "http://stub:80"],
    private=["10.0.0.0/8"],
)
OPEN = Egress([ROUTER], elsewhere=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://router.huggingface.co/v1/models",
        "https://ROUTER.huggingface.co.:443/",
        "https://abc.endpoints.huggingface.cloud/v1",
        "http://127.0.0.1:8901/v1",
        "http://stub/v1",
    ],
)
def test_a_listed_origin_may_be_called_with_a_token(url: str):
    assert EGRESS.why_not(URL(url), credentials=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://router.huggingface.co/",
        "https://router.huggingface.co:8443/",
        "https://router.huggingface.co.evil.example/",
        "https://evil.example/?router.huggingface.co",
        "https://endpoints.huggingface.cloud/",
        "https://evilendpoints.huggingface.cloud/",
        "http://127.0.0.1:8902/",
        "http://127.1:8901/",
        "ftp://router.huggingface.co/",
        "https://user:secret@router.huggingface.co/",
        "https://user@router.huggingface.co/",
    ],
)
def test_another_scheme_port_host_or_a_password_in_the_url_is_refused(url: str):
    reason = EGRESS.why_not(URL(url), credentials=False)

    assert reason is not None
    assert "secret" not in reason


def test_elsewhere_is_reached_by_https_and_never_with_a_token():
    picture = URL("https://images.example/cat.png")

    assert OPEN.why_not(picture, credentials=False) is None
    assert OPEN.why_not(picture, credentials=True) is not None
    assert OPEN.why_not(URL("http://images.example/cat.png"), credentials=False) is not None
    assert OPEN.why_not(URL("https://images.example:8443/cat.png"), credentials=False) is not None


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "[::1]",
     "[::]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[ff02::1]",
     "[::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[fec0::1]", "[5f00::1]", "[4000::1]"],
)  # fmt: skip
def test_an_address_off_the_public_internet_is_refused_even_elsewhere(host: str):
    assert OPEN.why_not(URL(f"https://{host}/"), credentials=False) is not None
    assert OPEN.why_not_address("images.example", 443, host.strip("[]")) is not None
    assert EGRESS.why_not_address("router.huggingface.co", 443, host.strip("[]")) is not None or host == "10.1.2.3"


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_a_public_address_is_fine(address: str):
    assert OPEN.why_not_address("images.example", 443, address) is None


def test_a_private_network_is_open_to_listed_hosts_only():
    assert EGRESS.why_not_address("stub", 80, "10.1.2.3") is None
    assert EGRESS.why_not_address("stub", 80, "192.168.0.1") is not None
    assert EGRESS.why_not_address("images.example", 443, "10.1.2.3") is not None


def test_localhost_on_the_list_means_loopback():
    egress = Egress(["http://localhost:9000"])

    assert egress.why_not_address("localhost", 9000, "127.0.0.1") is None
    assert egress.why_not_address("localhost", 9000, "::1") is None
    assert egress.why_not_address("localhost", 9000, "10.0.0.1") is not None


def test_a_private_host_is_open_at_its_own_port_and_not_at_the_one_that_strangers_may_name():
    egress = Egress(["http://127.0.0.1:8901", "http://localhost:9000"], elsewhere=True)

    assert egress.why_not(URL("http://127.0.0.1:8901/x"), credentials=False) is None
    assert egress.why_not(URL("https://127.0.0.1/"), credentials=False) is not None
    assert egress.why_not_address("localhost", 443, "127.0.0.1") is not None


def test_what_a_lookup_gives_must_be_an_address():
    assert OPEN.why_not_address("images.example", 443, "images.example") is not None


@pytest.mark.parametrize("origin", ["router.huggingface.co", "https://", "ftp://a", "https://u:p@a"])
def test_an_origin_that_is_none_is_refused_at_the_start(origin: str):
    with pytest.raises(ValueError, match="not of the form"):
        Egress([origin])


def test_the_headers_that_carry_secrets_are_written_as_they_are_compared():
    assert {name.lower() for name in CREDENTIAL_HEADERS} == CREDENTIAL_HEADERS


def test_a_server_in_the_local_network_is_listed_by_its_address():
    """B143. Its name would lead to a private address, as a rebound one does."""
    egress = Egress(["http://192.168.1.5:8000", "http://llm.lan:8000"])

    assert egress.why_not(URL("http://192.168.1.5:8000/v1"), credentials=True) is None
    assert egress.why_not_address("llm.lan", 8000, "192.168.1.5") is not None


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_a_link_local_address_may_not_be_called_even_if_it_is_listed(host: str):
    """Clouds keep the machine's own credentials there: no webhook and no server of the operator's lives at it."""
    listed = Egress([f"http://{host}"], private=["10.0.0.0/8"])
    assert listed.why_not(URL(f"http://{host}/latest"), credentials=False) is not None
