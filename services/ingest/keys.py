"""API keys: the setting holds only hashes, a request brings the key, and neither is ever logged.

A key is 256 random bits, so one round of SHA-256 keeps it: there is nothing to guess, and checking costs a microsecond.

>>> key, entry = make_key("shop", "ingest", token="0" * 43)
>>> keys = Keys.parse(entry)
>>> keys.admit(f"Bearer {key}", "ingest")
'shop'
>>> Keys.parse("").admit("", "ingest")
'anyone'
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException

SCOPES = frozenset({"ingest", "read"})
KEYS_COUNT_MAX = 1000
_ENTRY = re.compile(r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,63}):(?P<digest>[0-9a-f]{64})(:(?P<scopes>[a-z+]+))?")


@dataclass(frozen=True, slots=True)
class Keys:
    """Who may come in; without any entry, everybody."""

    entries: Sequence[tuple[str, str, frozenset[str]]] = ()

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Entries ``id:sha256hex`` or ``id:sha256hex:ingest+read``, apart by commas, spaces or new lines; no scope means both.

        Raises:
            ValueError: an entry has another form; it is named by its place, for its text may be a key.
        """
        words = re.split(r"[,\s]+", text.strip()) if text.strip() else []
        if len(words) > KEYS_COUNT_MAX:
            raise ValueError(f"holds {len(words)} keys; at most {KEYS_COUNT_MAX} are accepted")
        entries = tuple(_entry(place, word) for place, word in enumerate(words, start=1))
        if len({id_ for id_, _, _ in entries}) != len(entries):
            raise ValueError("names an id twice")
        return cls(entries)

    def admit(self, authorization: str, scope: str, api_key: str = "") -> str:
        """The id of the key in ``Authorization: Bearer …`` or ``X-API-Key``.

        Raises:
            HTTPException: 401, no key or none of ours; 403, the key has not this scope.
        """
        if not self.entries:
            return "anyone"
        scheme, _, token = authorization.partition(" ")
        presented = token.strip() if scheme.lower() == "bearer" else api_key
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for id_, known, scopes in self.entries:  # no early end: the time must not tell which entry matched
            if hmac.compare_digest(digest, known):
                found = id_, scopes
        if found is None:
            raise HTTPException(401, "an API key is needed: Authorization: Bearer KEY")
        if scope not in found[1]:
            raise HTTPException(403, f"this key does not open the doors of scope {scope!r}")
        return found[0]


def make_key(id_: str, scopes: str = "", token: str | None = None) -> tuple[str, str]:
    """A new key and the entry that goes into the setting."""
    key = f"mlk_{token or secrets.token_urlsafe(32)}"
    entry = f"{id_}:{hashlib.sha256(key.encode()).hexdigest()}" + (f":{scopes}" if scopes else "")
    _entry(1, entry)
    return key, entry


def _entry(place: int, word: str) -> tuple[str, str, frozenset[str]]:
    match = _ENTRY.fullmatch(word)
    scopes = frozenset((match["scopes"] or "ingest+read").split("+")) if match else frozenset()
    if match is None or not scopes <= SCOPES:
        raise ValueError(
            f"entry {place} is not id:sha256hex[:ingest+read] (make one with `python -m services.ingest make-key`)"
        )
    return match["id"], match["digest"], scopes
