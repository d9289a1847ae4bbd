"""Ids of questions that tell in which sending they went out, where a batch has no place for a name of its own.

>>> name, digest = "a-name", "5f" * 32
>>> len(signed(name, digest)), digest_in(signed(name, digest)) == digest, sign_in(signed(name, digest)) == sign_of(name)
(63, True, True)
"""

from __future__ import annotations

import base64
import hashlib

SIGN_LENGTH = 20  # 120 bits; with the 43 characters of a digest it fits into the 64 that Anthropic takes: letters, digits, "-", "_"
DIGEST_LENGTH = 64  # in hexadecimal; what is signed is a character shorter


def sign_of(name: str) -> str:
    """What stands for the name of a sending."""
    return _short(hashlib.sha256(name.encode()).digest())[:SIGN_LENGTH]


def signed(name: str, digest: str) -> str:
    """The id of a question (its digest is a SHA-256 in hexadecimal) in the sending of this name."""
    return sign_of(name) + _short(bytes.fromhex(digest))


def sign_in(custom_id: str) -> str:
    """The sign that a question's id bears, if it is one of ours."""
    return custom_id[:SIGN_LENGTH]


def digest_in(custom_id: str) -> str:
    """The digest in what `signed` made; ids of batches that earlier versions sent are digests already.

    >>> digest_in("5f" * 32) == "5f" * 32
    True
    """
    if len(custom_id) == DIGEST_LENGTH:
        return custom_id
    return base64.urlsafe_b64decode(custom_id[SIGN_LENGTH:] + "=").hex()


def _short(said: bytes) -> str:
    return base64.urlsafe_b64encode(said).decode().rstrip("=")
