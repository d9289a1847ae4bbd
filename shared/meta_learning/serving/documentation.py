"""``/docs``: the OpenAPI document of a service, drawn by Swagger UI from this machine alone.

The framework's own page fetches its scripts from another host: without internet it stays blank, and with it a stranger's script
runs beside an operator's key.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}
HEADERS = {
    # Swagger UI sets style attributes and holds its icons as data: addresses; scripts come from here and nowhere else.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
START = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/docs/favicon-32x32.png" type="image/png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<script src="/docs/swagger-ui-bundle.js" defer></script>
<script src="/docs/start.js" defer></script>
</head>
<body>
<noscript><p>This page draws itself with JavaScript. The same document is at <a href="/openapi.json">/openapi.json</a>.</p></noscript>
<div id="docs"></div>
</body>
</html>
"""
PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457; `field` names the offending field where there is one.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
    },
}
_METHODS = {"get", "put", "post", "delete", "patch"}


def document_app(app: FastAPI) -> None:
    """Give ``app`` (made with ``docs_url=None``) its ``/docs``, and a document whose errors are the problems it answers."""
    app.include_router(_docs_doors(app.title))
    routes_only = app.openapi

    def openapi() -> dict[str, Any]:
        return with_problems(routes_only())

    app.openapi = openapi  # type: ignore[method-assign]


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every 422 declared as a problem, in place of the shape that the framework would answer by itself.

    >>> ours = with_problems({"paths": {"/x": {"get": {"responses": {"422": {"description": "Validation Error"}}}}}})
    >>> ours["paths"]["/x"]["get"]["responses"]["422"]["content"]
    {'application/problem+json': {'schema': {'$ref': '#/components/schemas/Problem'}}}
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operation in _operations(document):
        if "422" in operation["responses"]:
            operation["responses"]["422"] = {
                "description": "A field is missing or not as it should be",
                "content": content,
            }
        operation["responses"].setdefault("default", {"description": "Any other error", "content": content})
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document.get("paths", {}).values():
        yield from (operation for method, operation in methods.items() if method in _METHODS)


def _docs_doors(title: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    _add_text(router, "/docs", PAGE.format(title=escape(title)), "text/html")
    _add_text(router, "/docs/start.js", START, "text/javascript")
    folder = Path(str(files("fastapi_swagger") / "resources"))
    for name, media_type in ASSETS.items():
        _add_file(router, f"/docs/{name}", folder / name, media_type)
    return router


def _add_text(router: APIRouter, route: str, text: str, media_type: str) -> None:
    async def door() -> Response:
        return Response(text, media_type=f"{media_type}; charset=utf-8", headers=HEADERS)

    router.add_api_route(route, door, methods=["GET"])


def _add_file(router: APIRouter, route: str, path: Path, media_type: str) -> None:
    async def door() -> FileResponse:
        return FileResponse(path, media_type=media_type, headers=HEADERS)

    router.add_api_route(route, door, methods=["GET"])
