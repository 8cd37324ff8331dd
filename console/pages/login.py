"""The page that asks for the console's token, and the way out."""

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.pages.context import Context
from console.pages.guard import LOGIN, Door, address_of, cookie_header
from console.pages.render import page


def routes(_: Context) -> list[BaseRoute]:
    """Of the login."""
    return [
        Route(LOGIN, _ask, methods=["GET"]),
        Route(LOGIN, _enter, methods=["POST"]),
        Route("/logout", _leave, methods=["POST"]),
    ]


async def _ask(request: Request) -> Response:
    door: Door = request.state.door
    wanted = own_path(request.query_params.get("next", ""))
    if not door.wants_token or request.state.session.known:
        return RedirectResponse(wanted, status_code=303)
    return page("login.html", wanted=wanted, problem="")


async def _enter(request: Request) -> Response:
    door: Door = request.state.door
    fields = await form_of(request)
    wanted = own_path(fields.get("next", ""))
    too_soon = door.wait_s(address_of(request)) > 0
    wait_s = door.tries(fields.get("token", ""), address_of(request))
    if wait_s is None:
        cookie = cookie_header(door.cookie(door.begin(known=True)), request.scope)
        return RedirectResponse(wanted, status_code=303, headers={"set-cookie": cookie})
    why = (
        "Too soon after a wrong token: this one was not looked at." if too_soon else "This is not the console's token."
    )
    problem = f"{why} The next one is heard in {max(1, round(wait_s))} s."
    answer = page("login.html", status=401, wanted=wanted, problem=problem)
    answer.headers["retry-after"] = str(max(1, round(wait_s)))
    return answer


async def _leave(request: Request) -> Response:
    gone = cookie_header("", request.scope, ends=True)
    return RedirectResponse(LOGIN, status_code=303, headers={"set-cookie": gone})


def own_path(text: str) -> str:
    """Where to go after the login: a path of ours, whatever the link said."""
    plain = text.isascii() and text.isprintable() and "\\" not in text
    ours = plain and text.startswith("/") and not text.startswith("//")
    return text if ours and not text.startswith((LOGIN, "/logout")) else "/"


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, the first of each name; the guard has bounded it."""
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(body, keep_blank_values=True, max_num_fields=1_000).items()}
