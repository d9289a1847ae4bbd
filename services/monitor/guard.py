"""Who may use the operators' door: the holder of the key; without a key, only this machine's own pages and programs."""

from __future__ import annotations

from hmac import compare_digest
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from meta_learning.serving.settings import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """A FastAPI dependency for every route under ``/api``.

    With a key: ``Authorization: Bearer <key>``, or 401. Without one the service listens on loopback only, and what remains is
    the operator's own browser being led here by a foreign page: 403 for a foreign ``Host`` (DNS rebinding) and for a
    change asked for by another origin (CSRF).
    """

    def __init__(self, key: str | None) -> None:
        self._key = key

    async def __call__(self, request: Request) -> None:
        """Let the request pass, or raise."""
        if self._key is not None:
            self._ask_for_key(request)
        else:
            _refuse_foreign_hosts(request)
        if request.method not in SAFE_METHODS:
            _refuse_foreign_origins(request)

    def _ask_for_key(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(given.strip().encode(), (self._key or "").encode()):
            raise HTTPException(401, "This door needs the operator key: Authorization: Bearer <key>.")


def _refuse_foreign_hosts(request: Request) -> None:
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not is_loopback(host):
        raise HTTPException(403, "Without an operator key this door answers only to localhost.")


def _refuse_foreign_origins(request: Request) -> None:
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise HTTPException(403, "A page of another site may not change anything here.")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "A page of another origin may not change anything here.")
