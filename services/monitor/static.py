"""The page's own files, read once: no build step, no other origin, no inline script."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

FOLDER = Path(__file__).parent / "page"
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def page_doors(folder: Path = FOLDER) -> APIRouter:
    """``/`` and ``/page/<file>`` for every file of the folder."""
    router = APIRouter(include_in_schema=False)
    for path in sorted(folder.iterdir()):
        if path.suffix in MEDIA:
            _add(router, "/" if path.name == "index.html" else f"/page/{path.name}", path)
    return router


def _add(router: APIRouter, route: str, path: Path) -> None:
    content = path.read_bytes()

    async def door() -> Response:
        return Response(content, media_type=f"{MEDIA[path.suffix]}; charset=utf-8", headers=HEADERS)

    router.add_api_route(route, door, methods=["GET"])
