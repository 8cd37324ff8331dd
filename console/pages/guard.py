"""What stands before every page: safe headers, the token where one is wanted, and no order from another site.

Where a token is set, a browser logs in once (`console/pages/login.py`) and scripts send `Authorization: Bearer`. A
request that changes something is a POST that comes from our own pages, by `Sec-Fetch-Site` (Fetch Metadata, W3C) or by
`Origin`, and carries its session's form token. No page can forget that: it is asked here, before any of them.
"""

import ipaddress
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.exits import CommandError, Exit
from console.hub.tasks import BadForm
from console.hub.uploads import MOST_FILE_BYTES, is_parts, parts_of
from console.pages.sessions import LEAST_TOKEN_CHARS, SESSION_S, Kind, Seal, Session, Tries, is_due, same, serving

if TYPE_CHECKING:
    from console.pages.context import Context

log = structlog.get_logger("novix.console")

COOKIE = "novix-console"
"""With the port behind it: browsers keep one jar for all ports of a host, and another console has its own sessions."""
FORM_FIELD = "form_token"
FORM_HEADER = "x-novix-form"
"""The same for scripts of our pages."""
MOST_FORM_BYTES = 65_536
MOST_FIELDS = 1_000
MOST_BYTES = {"/hub/try": MOST_FORM_BYTES + MOST_FILE_BYTES}
"""Of a form with a file in it, by its address."""
LOGIN = "/login"
OPEN = ("/static/", LOGIN, "/healthz", "/readyz")
"""Shown to whoever asks: no line of them speaks of a job."""
NOT_PAGES = ("/static/", "/fragments/", "/api/", "/events/", "/healthz", "/readyz", "/metrics")
"""Parts of pages, and what programs ask: they begin no session, so that none ends under an open page."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SAFE_HEADERS = {
    # Pico draws its arrows from data: images; nothing else comes from anywhere but here.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with it a browser hides the Origin of our own forms as well.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked(host: str, token: str) -> None:
    """Refuse to open the pages to a network without a token, or with one that can be guessed; and on an IPv6 address,
    which the check of the Host header cannot read. Raises `CommandError`."""
    if ":" in host:
        raise CommandError(f"--host {host}: the pages are served on IPv4 addresses alone", Exit.USAGE)
    advice = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
    if token and len(token) < LEAST_TOKEN_CHARS:
        raise CommandError(
            f"NOVIX_CONSOLE_TOKEN has {len(token)} characters; it must have at least {LEAST_TOKEN_CHARS}: {advice}",
            Exit.USAGE,
        )
    if not token and not is_loopback(host):
        raise CommandError(
            f"--host {host} shows the pages to a network, so they want a token: set NOVIX_CONSOLE_TOKEN to a secret of "
            f"at least {LEAST_TOKEN_CHARS} characters ({advice}), or leave --host out",
            Exit.USAGE,
        )


def middleware(context: "Context") -> list[Middleware]:
    """What every request passes, the first first."""
    hosts = ["*"] if context.any_host else ["localhost", "127.0.0.1"]
    door = Door(context.settings.console_token.get_secret_value())
    return [
        Middleware(SafeHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
        Middleware(Guard, door=door),
    ]


class SafeHeaders:
    """Adds the headers that keep other people's text from becoming script, to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers to what starts an HTTP answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in SAFE_HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *ours]}
                if not scope.get("path", "").startswith("/static/"):
                    MutableHeaders(scope=message).setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


class Door:
    """The token, if there is one, and the sessions it has opened."""

    def __init__(self, token: str = "", *, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._seal = Seal(token.encode() or secrets.token_bytes(32))
        self._tries = Tries()
        self._clock = clock

    @property
    def wants_token(self) -> bool:
        """Whether one has to log in."""
        return bool(self._token)

    def session_of(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None if there is none, or it is over."""
        return self._seal.read(cookie, self._clock()) if cookie else None

    def begin(self, *, known: bool) -> Session:
        """A new session. Who logs in gets a new one: a cookie that was planted before is worth nothing after."""
        kind: Kind = "local" if not self._token else "known" if known else "guest"
        return self._seal.session(secrets.token_urlsafe(18), kind, self._clock())

    def renewed(self, session: Session) -> Session | None:
        """The same session for longer, if that is due."""
        now = self._clock()
        return self._seal.session(session.name, session.kind, now) if is_due(session, now) else None

    def cookie(self, session: Session) -> str:
        """What its cookie holds."""
        return self._seal.cookie(session)

    def wait_s(self, address: str) -> float:
        """Seconds until a token from this address is looked at again; 0: now."""
        return self._tries.wait_s(address, self._clock())

    def tries(self, given: str, address: str) -> float | None:
        """Try a token: None if it is the right one, else the seconds until this address is heard again."""
        now = self._clock()
        wait_s = self._tries.wait_s(address, now)
        if wait_s > 0:
            return wait_s
        if self._token and same(given, self._token):
            self._tries.succeeded(address)
            return None
        self._tries.failed(address, now)
        log.warning("login.refused", address=address)
        return self._tries.wait_s(address, now)


class Guard:
    """The middleware: every request passes here."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what may not pass; give the rest its session."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        bearer = _bearer(request.headers)
        if bearer is not None and self._door.wants_token:
            wait_s = self._door.tries(bearer, address_of(request))
            if wait_s is not None:
                await _later(wait_s)(scope, receive, send)
                return
            if request.method not in SAFE_METHODS:
                body = await _bounded(request)
                if isinstance(body, Response):
                    await body(scope, receive, send)
                    return
                receive = _replay(body, receive)
            await self._pass(scope, receive, send, self._door.begin(known=True), None)
            return
        found = self._door.session_of(request.cookies.get(cookie_name(scope)))
        here = found or self._door.begin(known=False)
        if not here.known and not _is_open(request.url.path):
            await _shut(request)(scope, receive, send)
            return
        if request.method not in SAFE_METHODS:
            refusal, receive = await self._checked(request, receive, here if found else None)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        fresh = here if found is None else self._door.renewed(here)
        await self._pass(scope, receive, send, here, fresh if _is_page(request) else None)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, here: Session, fresh: Session | None) -> None:
        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and fresh is not None:
                headers = MutableHeaders(scope=message)
                if "set-cookie" not in headers:
                    headers.append("set-cookie", cookie_header(self._door.cookie(fresh), scope))
            await send(message)

        scope["state"] = {**scope.get("state", {}), "session": here, "door": self._door}
        with serving(here):
            await self._app(scope, receive, with_cookie)

    async def _checked(
        self, request: Request, receive: Receive, found: Session | None
    ) -> tuple[Response | None, Receive]:
        """Why a request that changes something is refused, if it is; and its body, to be read again."""
        if not is_own(request.headers, request.url.scheme):
            return _refused("it does not come from these pages"), receive
        if found is None:
            return _refused("its session is over, or the browser keeps no cookies: load the page again"), receive
        body = await _bounded(request)
        if isinstance(body, Response):
            return body, receive
        given = request.headers.get(FORM_HEADER) or _field(request.headers, body)
        if not same(given, found.form_token):
            return _refused("it lacks the token of its form: load the page again"), receive
        return None, _replay(body, receive)


def is_own(headers: Headers, scheme: str) -> bool:
    """Whether a request comes from a page of ours. A browser says so by itself, and no page can make it lie; who says
    nothing is not one of ours."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        return False
    parts = urlsplit(origin)
    return (parts.scheme, parts.netloc.lower()) == (scheme, headers.get("host", "").lower())


def cookie_name(scope: Scope) -> str:
    """Of the session's cookie at the address that was asked."""
    port = (scope.get("server") or ("", None))[1]
    return f"{COOKIE}-{port}" if port else COOKIE


def cookie_header(value: str, scope: Scope, *, ends: bool = False) -> str:
    """`Set-Cookie`: no script reads it, no other site makes the browser send it."""
    age = 0 if ends else SESSION_S
    secure = "; Secure" if scope["scheme"] == "https" else ""
    return f"{cookie_name(scope)}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"


def address_of(request: Request) -> str:
    """Whose tries are counted together."""
    return request.client.host if request.client is not None else "unknown"


def _bearer(headers: Headers) -> str | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def _is_open(path: str) -> bool:
    return any(path == one or (one.endswith("/") and path.startswith(one)) for one in OPEN)


def _is_page(request: Request) -> bool:
    return request.method == "GET" and not request.url.path.startswith(NOT_PAGES)


def _shut(request: Request) -> Response:
    """To the login, if somebody looks; else 401."""
    path = request.url.path
    if request.method != "GET" or path.startswith(NOT_PAGES) or "text/html" not in request.headers.get("accept", ""):
        answer = {"error": "log in at /login, or send Authorization: Bearer with the console's token"}
        headers = {"www-authenticate": 'Bearer realm="novix console"'}
        if "hx-request" in request.headers:
            headers["hx-refresh"] = "true"  # a part of an open page: the page is loaded anew, and so the login
        return JSONResponse(answer, status_code=401, headers=headers)
    wanted = path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{LOGIN}?next={quote(wanted[:2_000], safe='')}", status_code=303)


def _refused(why: str) -> Response:
    return PlainTextResponse(f"refused: {why}", status_code=403)


def _later(wait_s: float) -> Response:
    text = f"wrong token; the next is heard in {wait_s:.0f} s"
    return JSONResponse({"error": text}, status_code=401, headers={"retry-after": str(max(1, round(wait_s)))})


async def _bounded(request: Request) -> bytes | Response:
    """A form's bytes; or why it is refused, whoever sends it."""
    most = MOST_BYTES.get(request.url.path, MOST_FORM_BYTES)
    chunks, size = list[bytes](), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            return PlainTextResponse(f"a form may have {most:,} bytes", status_code=413)
        chunks.append(chunk)
    body = b"".join(chunks)
    if not is_parts(request.headers.get("content-type", "")) and body.count(b"&") >= MOST_FIELDS:
        return PlainTextResponse(f"a form may have {MOST_FIELDS:,} fields", status_code=400)
    return body


def _field(headers: Headers, body: bytes) -> str:
    content_type = headers.get("content-type", "")
    if is_parts(content_type):
        try:
            return parts_of(content_type, body).fields.get(FORM_FIELD, "")
        except BadForm:
            return ""
    if content_type.partition(";")[0].strip() != "application/x-www-form-urlencoded":
        return ""
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=MOST_FIELDS).get(FORM_FIELD, [""])
    except ValueError:
        return ""
    return found[0]


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
