from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from services.evolver import interrupt
from services.evolver.lease import Lease, Stop
from services.evolver.queueing import COUNTERS_KEY, cancel_key, connect


@pytest.fixture
def connection(broker_url: str) -> Iterator[Any]:
    client = connect(broker_url)
    yield client
    client.close()


def _wait_for_stop(lease: Lease, timeout_s: float = 5.0) -> Stop | None:
    found = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if lease.stop is not None or found.wait(0.05):
            break
    return lease.stop


def test_a_second_life_waits_until_the_first_ones_lease_has_run_out(connection: Any) -> None:
    dead = Lease(connection, "run", "first", "job", ttl_s=1.0)
    assert dead._try()  # and never beats again: its process was killed
    successor = Lease(connection, "run", "second", "job", ttl_s=1.0)
    assert not successor.acquire(wait_s=0.1)
    assert successor.acquire(wait_s=3.0)
    successor.release()


def test_a_held_lease_is_renewed_for_as_long_as_it_is_held(connection: Any) -> None:
    holder = Lease(connection, "run", "first", "job", ttl_s=1.0)
    assert holder.acquire(wait_s=0.0)
    assert not Lease(connection, "run", "second", "job", ttl_s=1.0).acquire(wait_s=2.5)
    assert holder.stop is None
    holder.release()
    assert connection.get("run") is None


def test_a_cancel_flag_stops_the_holder(connection: Any) -> None:
    holder = Lease(connection, "run", "first", "job", ttl_s=1.0)
    assert holder.acquire(wait_s=0.0)
    connection.set(cancel_key("job"), "1")
    assert _wait_for_stop(holder) is Stop.CANCELLED
    holder.release()


def test_a_holder_whose_lease_was_taken_stops_and_does_not_take_it_back(connection: Any) -> None:
    holder = Lease(connection, "run", "first", "job", ttl_s=1.0)
    assert holder.acquire(wait_s=0.0)
    connection.set("run", "second")
    assert _wait_for_stop(holder) is Stop.LOST
    holder.release()
    assert connection.get("run") == b"second"


def test_sigterm_interrupts_the_holder(connection: Any) -> None:
    holder = Lease(connection, "run", "first", "job", ttl_s=1.0)
    assert holder.acquire(wait_s=0.0)
    interrupt.requested.set()
    try:
        assert holder.stop is Stop.INTERRUPTED
    finally:
        interrupt.requested.clear()
        holder.release()


def test_counters_survive_the_process_that_counted(connection: Any) -> None:
    holder = Lease(connection, "run", "first", "job", ttl_s=1.0)
    assert holder.acquire(wait_s=0.0)
    holder.count({"calls|openai|task": 2, "money|openai|task": 0.5})
    holder.count({"calls|openai|task": 1})
    holder.release()
    assert connection.hgetall(COUNTERS_KEY) == {b"calls|openai|task": b"3", b"money|openai|task": b"0.5"}
