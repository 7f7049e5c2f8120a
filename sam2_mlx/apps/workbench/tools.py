"""Routes for other people's annotation tools, over the same worker as the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.worker import Worker
from sam2_mlx.apps.workbench.anylabeling import AnyLabeling
from sam2_mlx.apps.workbench.guard import TOOLS
from sam2_mlx.apps.workbench.inside import InsideApp
from sam2_mlx.apps.workbench.label_studio import LabelStudio

MAX_BODY = 2**27

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def tool_routes(worker: Worker) -> list[BaseRoute]:
    """The routes of Label Studio and of X-AnyLabeling.

    Args:
        worker: does the work.
    """
    app = InsideApp(worker)
    studio, labeling = LabelStudio(app, worker.access), AnyLabeling(app)
    first, second = TOOLS + "{token}/label-studio", TOOLS + "{token}"
    return [
        _route(first + "/health", "GET", lambda request: studio.health()),
        _route(first + "/setup", "POST", studio.setup),
        _route(first + "/predict", "POST", studio.predict),
        # Asked for when annotations change; a model that does not learn has nothing to do.
        _route(first + "/webhook", "POST", lambda request: {}),
        _route(second + "/health", "GET", lambda request: labeling.health()),
        _route(second + "/v1/models", "GET", lambda request: labeling.models()),
        _route(second + "/v1/models/{model}/info", "GET", lambda r: labeling.info(r["model"])),
        _route(second + "/v1/predict", "POST", labeling.predict),
    ]


def _route(path: str, method: str, answer: Answer) -> Route:
    async def endpoint(request: Request) -> JSONResponse:
        fields: dict[str, Any] = dict(request.path_params)
        try:
            if method == "POST":
                fields = await _body(request)
            return JSONResponse(await run_in_threadpool(answer, fields))
        except Refusal as refusal:
            status = {"forbidden": 403, "not_found": 404, "busy": 503}.get(refusal.code, 400)
            return JSONResponse({"detail": str(refusal)}, status)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
            # What a tool sends is as untrusted as its users.
            detail = f"the request is not what was expected: {type(problem).__name__} {problem}"
            return JSONResponse({"detail": detail}, 400)

    return Route(path, endpoint, methods=[method])


async def _body(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BODY:
            raise Refusal("bad_request", f"a request has at most {MAX_BODY} bytes")
    try:
        fields = json.loads(bytes(data))
    except (ValueError, RecursionError) as problem:
        raise Refusal("bad_request", f"the request is not JSON: {problem}") from problem
    if not isinstance(fields, dict):
        raise Refusal("bad_request", "a request is an object")
    return fields
