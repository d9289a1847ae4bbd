"""A sender that is slow, or says nothing at all, is answered and let go."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from meta_learning.streams.memory import MemoryLog
from tests.services.ingest.serving import Door, door, good, plan

DOORS = ("/v1/feedback", "/v1/feedback/batch", "/v1/loops/support/rank")


@pytest.fixture(scope="module")
def impatient() -> Iterator[Door]:
    with door(MemoryLog(1), plan(body_wait_s_max=0.3)) as served:
        yield served


def connected(served: Door, path: str) -> socket.socket:
    """A connection that has announced a body of 100 bytes and sent none of it."""
    host, port = served.url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.sendall(head.encode())
    return connection


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("piece", [b"", b'{"loop": '], ids=["nothing", "a beginning"])
def test_a_body_that_does_not_come_in_time_is_answered_and_the_connection_closed(
    impatient: Door, path: str, piece: bytes
) -> None:
    with connected(impatient, path) as connection:
        connection.sendall(piece)
        with connection.makefile("rb") as answer:
            said = answer.read()  # up to the end of the connection
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"did not come within 0.3 s" in said
    assert impatient.send(good()).status_code == 202


def test_a_body_that_drips_does_not_win_time_with_every_drop(impatient: Door) -> None:
    with connected(impatient, DOORS[0]) as connection, pytest.raises(ConnectionError):  # noqa: PT012 - one drop after another
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)
