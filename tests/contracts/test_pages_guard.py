"""What stands before the pages: the token, the session, and orders that come from elsewhere."""

import hmac
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from console.exits import CommandError, Exit
from console.pages import guard, login, sessions
from console.pages.login import form_of, own_path
from runtime.settings import Settings

COOKIE = f"{guard.COOKIE}-80"
"""At the port of the client's address."""
TOKEN = "a-token-of-twenty-four-c"
OURS = {"sec-fetch-site": "same-origin"}
HTML = {"accept": "text/html"}


class Hands:
    """A clock that is turned by hand."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


def behind(token="", *, any_host=False, clock=None):
    """A page and an order behind the guard; the client, and what the order was given."""
    done = []

    async def show(_: Request) -> Response:
        return PlainTextResponse(sessions.session().form_token)

    async def do(request: Request) -> Response:
        done.append(await form_of(request))
        return PlainTextResponse("done")

    context = SimpleNamespace(settings=Settings(console_token=SecretStr(token)), any_host=any_host)
    routes = [
        *login.routes(context),
        Route("/page", show),
        Route("/do", do, methods=["POST", "PUT", "DELETE"]),
        Route("/healthz", show),
        Route("/metrics", show),
        Route("/api/jobs", show),
    ]
    stack = guard.middleware(context)
    if clock is not None:
        stack[-1].kwargs["door"]._clock = clock
    app = Starlette(routes=routes, middleware=stack)
    return TestClient(app, base_url="http://127.0.0.1", follow_redirects=False), done


def enter(client, token=TOKEN):
    form = client.get("/login").text.split('name="form_token" value="')[1].split('"')[0]
    return client.post("/login", data={"form_token": form, "token": token, "next": "/page"}, headers=OURS)


# orders


def test_an_order_of_our_own_page_is_done_once_with_its_fields():
    client, done = behind()
    form = client.get("/page").text

    answer = client.post("/do", data={"form_token": form, "what": "ä=1&b"}, headers=OURS)

    assert (answer.status_code, answer.text) == (200, "done")
    assert done == [{"form_token": form, "what": "ä=1&b"}]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1"},
        {"origin": "http://127.0.0.1:81"},
        {},
    ],
)
def test_an_order_that_another_site_sends_with_our_cookie_and_token_is_not_done(headers):
    client, done = behind()
    form = client.get("/page").text

    answer = client.post("/do", data={"form_token": form}, headers=headers)

    assert (answer.status_code, done) == (403, [])


def test_without_fetch_metadata_the_origin_decides():
    client, done = behind()
    form = client.get("/page").text
    assert client.post("/do", data={"form_token": form}, headers={"origin": "http://127.0.0.1"}).status_code == 200
    assert len(done) == 1


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_an_order_without_its_forms_token_is_not_done(method):
    client, done = behind()
    client.get("/page")
    assert getattr(client, method)("/do", headers=OURS).status_code == 403
    assert getattr(client, method)("/do", headers={**OURS, "x-novix-form": "0" * 64}).status_code == 403
    assert done == []


def test_the_form_token_of_one_session_is_worth_nothing_in_another():
    client, done = behind()
    theirs = client.get("/page").text
    client.cookies.clear()
    mine = client.get("/page").text

    assert theirs != mine
    assert client.post("/do", data={"form_token": theirs}, headers=OURS).status_code == 403
    client.cookies.clear()
    assert client.post("/do", data={"form_token": mine}, headers=OURS).status_code == 403  # no session at all
    assert done == []


def test_a_script_of_our_pages_may_send_the_token_as_a_header():
    client, done = behind()
    form = client.get("/page").text
    assert client.post("/do", json={}, headers={**OURS, "x-novix-form": form}).status_code == 200
    assert len(done) == 1


def test_a_form_without_end_is_refused_and_not_kept():
    client, done = behind()
    form = client.get("/page").text
    answer = client.post("/do", data={"form_token": form, "x": "y" * 70_000}, headers=OURS)
    assert (answer.status_code, done) == (413, [])


# the token


@pytest.mark.parametrize("path", ["/page", "/api/jobs", "/metrics", "/do", "/fragments/jobs", "/nothing-there"])
def test_with_a_token_nothing_is_shown_or_done_without_it(path):
    client, done = behind(TOKEN)
    asked = client.get(path, headers=HTML)
    ordered = client.post(path, headers=OURS)

    assert asked.status_code in (303, 401)
    assert ordered.status_code == 401
    assert done == []


def test_somebody_who_looks_is_led_to_the_login_and_back_and_a_program_is_told_401():
    client, _ = behind(TOKEN)
    led = client.get("/page?a=1&b=2", headers=HTML)

    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Fpage%3Fa%3D1%26b%3D2")
    told = client.get("/api/jobs")
    assert (told.status_code, told.headers["www-authenticate"].partition(" ")[0]) == (401, "Bearer")
    assert enter(client).headers["location"] == "/page"
    assert client.get("/page").status_code == 200


def test_the_health_is_told_without_a_token():
    client, _ = behind(TOKEN)
    assert client.get("/healthz").status_code == 200


def test_the_cookie_is_not_the_token_is_read_by_no_script_and_sent_by_no_other_site():
    client, _ = behind(TOKEN)
    answer = enter(client)
    cookie = answer.headers["set-cookie"]

    assert answer.status_code == 303
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert TOKEN not in client.get("/page").text


def test_a_script_sends_the_token_itself_and_may_order_without_a_form():
    client, done = behind(TOKEN)
    bearer = {"authorization": f"Bearer {TOKEN}"}

    assert client.get("/metrics", headers=bearer).status_code == 200
    assert client.post("/do", headers=bearer).status_code == 200
    assert len(done) == 1
    assert client.get("/metrics").status_code == 401  # it left no session behind


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:-1] + ("0" if c[-1] != "0" else "1"),
        lambda c: c.replace("known", "k"),
        lambda c: "guest" + c[5:],
        lambda _: "known.x.99999999999.",
        lambda _: "...",
        lambda _: "é.é",
    ],
)
def test_a_forged_cookie_opens_nothing(change):
    client, _ = behind(TOKEN)
    cookie = enter(client).headers["set-cookie"].split("=", 1)[1].split(";")[0]
    client.cookies.clear()

    asked = client.get("/page", headers={"cookie": f"{COOKIE}={change(cookie)}".encode("latin-1")})

    assert asked.status_code == 401
    assert client.get("/page", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 200


def test_a_guests_cookie_is_no_known_one():
    client, _ = behind(TOKEN)
    client.get("/login")
    assert client.cookies.get(COOKIE, "").startswith("guest.")
    assert client.get("/page").status_code == 401


def test_a_console_at_another_port_of_this_machine_leaves_a_session_alone():
    client, done = behind()
    form = client.get("/page").text
    client.get("http://127.0.0.1:81/page")
    assert sorted(name.rpartition("-")[2] for name in client.cookies) == ["80", "81"]
    assert client.post("/do", data={"form_token": form}, headers=OURS).status_code == 200
    assert len(done) == 1


def test_another_token_ends_every_session():
    client, _ = behind(TOKEN)
    enter(client)
    other, _ = behind(TOKEN + "x")
    other.cookies.update(client.cookies)
    assert other.get("/page").status_code == 401


def test_a_session_ends_unless_it_is_used_and_logging_out_ends_it_at_once():
    clock = Hands()
    client, _ = behind(TOKEN, clock=clock)
    enter(client)
    form = client.get("/page").text
    clock.now += sessions.SESSION_S * 0.7
    assert client.get("/page").text == form  # renewed: the forms of an open page stay good
    clock.now += sessions.SESSION_S * 0.7
    assert client.get("/page").status_code == 200
    clock.now += sessions.SESSION_S + 1
    assert client.get("/page").status_code == 401

    enter(client)
    left = client.post("/logout", data={"form_token": client.get("/page").text}, headers=OURS)
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert client.get("/page").status_code == 401


def test_wrong_tokens_are_heard_ever_more_slowly_and_the_right_one_waits_as_well():
    clock = Hands()
    client, _ = behind(TOKEN, clock=clock)
    first = enter(client, "wrong")
    assert (first.status_code, first.headers["retry-after"]) == (401, "1")
    assert "not the console&#39;s token" in first.text
    soon = enter(client)  # the right one, but too soon
    assert (soon.status_code, "was not looked at" in soon.text) == (401, True)
    clock.now += 1.1
    assert enter(client, "wrong").headers["retry-after"] == "2"
    bearer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert (bearer.status_code, bearer.headers["retry-after"]) == (401, "2")
    clock.now += 2.1
    assert enter(client).status_code == 303


def test_every_secret_is_compared_in_a_time_that_tells_nothing_of_it(monkeypatch):
    compared = []
    honest = hmac.compare_digest

    def noted(one, other):
        compared.append((len(one), len(other)))
        return honest(one, other)

    monkeypatch.setattr(sessions.hmac, "compare_digest", noted)
    client, _ = behind(TOKEN)
    for ask in (
        lambda: enter(client, "wrong"),
        lambda: client.get("/page", headers={"cookie": f"{COOKIE}=known.x.99999999999.{'0' * 64}"}),
    ):
        compared.clear()
        ask()
        assert compared
        assert all(one == other for one, other in compared)  # digests: neither length tells one of a secret


def test_a_form_of_a_great_many_fields_is_refused_and_is_no_fault():
    client, done = behind(TOKEN)
    body = "&".join(["place=0/0"] * 1_100)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post("/do", content=body, headers={**kind, "authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, done) == (400, [])
    large = client.post("/do", content=b"x" * 70_000, headers={**kind, "authorization": f"Bearer {TOKEN}"})
    assert (large.status_code, done) == (413, [])


def test_a_wrong_token_is_in_no_answer():
    client, _ = behind(TOKEN)
    answer = enter(client, "hf_wrong_secret_of_mine")
    assert "hf_wrong_secret_of_mine" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "page",
        "/a\nb",
        "/login",
        "/ä",
    ],
)
def test_the_login_leads_to_no_other_site(text):
    assert own_path(text) == "/"


def test_the_login_leads_back_to_a_page_with_its_question():
    assert own_path("/page?q=a%20b&c") == "/page?q=a%20b&c"


# opening, headers, hosts


def test_the_pages_do_not_open_to_a_network_without_a_token_that_cannot_be_guessed():
    for host in ("0.0.0.0", "10.0.0.1", "some.host"):
        with pytest.raises(CommandError, match="NOVIX_CONSOLE_TOKEN") as refused:
            guard.checked(host, "")
        assert refused.value.code is Exit.USAGE
        guard.checked(host, TOKEN)
    with pytest.raises(CommandError, match="at least 16") as short:
        guard.checked("127.0.0.1", "short-secret")
    assert "short-secret" not in str(short.value)
    for host in ("127.0.0.1", "localhost"):
        guard.checked(host, "")


@pytest.mark.parametrize("host", ["::1", "::", "fe80::1", "[::1]"])
def test_an_ipv6_address_is_refused_by_name_before_anything_is_opened(host: str):
    with pytest.raises(CommandError, match="IPv4"):
        guard.checked(host, TOKEN)


def test_the_command_refuses_to_open_to_a_network_and_says_what_to_do(novix):
    done = novix("console", "--host", "0.0.0.0")
    assert done.exit_code == Exit.USAGE
    assert "NOVIX_CONSOLE_TOKEN" in done.stderr
    short = novix("console", NOVIX_CONSOLE_TOKEN="tiny-secret-1")
    assert (short.exit_code, "tiny-secret" in short.stderr) == (Exit.USAGE, False)


def test_every_answer_has_the_safe_headers_and_none_but_static_files_is_kept():
    client, _ = behind(TOKEN)
    for answer in (client.get("/page"), client.get("/login"), client.post("/do"), client.get("/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "script-src" not in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_a_name_that_is_not_this_machines_is_not_answered():
    client, _ = behind()
    assert client.get("/page", headers={"host": "evil.example"}).status_code == 400
    open_to_all, _ = behind(TOKEN, any_host=True)
    assert open_to_all.get("/login", headers={"host": "console.example"}).status_code == 200
