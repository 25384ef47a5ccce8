"""Who may use the console: the holder of its token, from this machine, on purpose."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COOKIE = "quarry_console"
_HOSTS = frozenset({"127.0.0.1", "localhost"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Middleware. The token comes once in the address, then in a cookie no script can read.

    A request that changes something must also carry the page's CSRF value, and `write` must be on.
    """

    app: ASGIApp
    token: str
    write: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._answer(Request(scope))
        target: Callable[[Scope, Receive, Send], Awaitable[None]] = refusal or self.app
        await target(scope, receive, send_guarded)

    def _answer(self, request: Request) -> Response | None:
        if request.url.hostname not in _HOSTS:
            return PlainTextResponse("The console answers on 127.0.0.1 only.", 421)
        given = request.query_params.get("token")
        if given is not None and hmac.compare_digest(given.encode(), self.token.encode()):
            welcome = RedirectResponse(request.url.path, 303)
            welcome.set_cookie(f"{_COOKIE}_{request.url.port}", self.token, httponly=True,
                               samesite="strict")  # fmt: skip
            return welcome
        cookie = request.cookies.get(f"{_COOKIE}_{request.url.port}", "")
        if not hmac.compare_digest(cookie.encode(), self.token.encode()):
            said = "Open the address that `quarry console` printed; it carries the token."
            return PlainTextResponse(said, 401)
        if request.method not in {"GET", "HEAD"}:
            return self._answer_to_change(request)
        return None

    def _answer_to_change(self, request: Request) -> Response | None:
        given = request.headers.get("X-CSRF-Token", "")
        if not hmac.compare_digest(given.encode(), csrf_value(self.token).encode()):
            return PlainTextResponse("This request did not come from the console's page.", 403)
        if not self.write and not request.url.path.endswith(("/look", "/plan")):
            return PlainTextResponse("The console is read-only; start it with --write.", 403)
        return None


def csrf_value(token: str) -> str:
    """Return what the page sends along with changes; the token cannot be told from it."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()
