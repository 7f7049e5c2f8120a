"""Who may talk to the server: the page that it printed the address of, and nobody else."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; media-src 'self' blob:; worker-src 'self'; connect-src 'self' {sockets}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FORBIDDEN = 1008  # a WebSocket's policy violation

TOOLS = "/tools/"
"""What paths for tools begin with; the token follows, as tools keep an address's path only."""


class Guard:
    """Refuses requests of other names, of other pages, and without the token.

    A page of the web that has its own name point at 127.0.0.1 sends that name as `Host`; one that
    talks to the server directly sends its own `Origin`. Files of the page hold no secret and need
    no token, which the browser would not send with them.

    Args:
        app: what is guarded.
        port: where the server listens.
        token: what a request must bring.
        public: paths that need no token.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, public: frozenset[str]) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._token = token.encode()
        self._public = public
        sockets = " ".join(f"ws://{host}" for host in sorted(self._hosts))
        self._headers = [
            (b"content-security-policy", _POLICY.format(sockets=sockets).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        problem = self._problem(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        if problem is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await WebSocketClose(_FORBIDDEN, problem)(scope, receive, send)
        else:
            answer = PlainTextResponse(problem + "\n", 403)
            await answer(scope, receive, send_with_headers)

    def _problem(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return "the server goes by 127.0.0.1 only"
        if origin is not None and origin != f"http://{host}":
            return "other pages may not talk to this server"
        if scope["path"] in self._public:
            return None
        if not hmac.compare_digest(_token_of(scope), self._token):
            return "open the address that the command printed; it holds a token"
        return None


def _token_of(scope: Scope) -> bytes:
    """What a request brings: in its query, or in the path of a tool."""
    path: str = scope["path"]
    if path.startswith(TOOLS):
        return path.removeprefix(TOOLS).partition("/")[0].encode()
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0].encode()
