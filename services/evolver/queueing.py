"""The RQ queue of evolutions and every key that the evolver keeps beside it. RQ is a way to run jobs, never the truth.

>>> job_id_of("6f1c")
'ead72ca35bee343a3130a8ebec0d67a3'
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from rq import Queue

from meta_learning.events import derived_id

QUEUE = "evolutions"
# Of helpers: a worker looks here only when no run waits.
HELP_QUEUE = "evolution-help"
# What `meta-learning study run --redis-url` fills, as `meta_learning.experiments.queueing` names it;
# that is not imported here: it would triple the memory of an idle worker.
STUDIES = "studies"
JOB = "services.evolver.jobs.evolve"
RESULT_TTL_S = 7 * 24 * 3600
COUNTERS_KEY = "meta_learning:evolver:counters"


def connect(url: str, timeout_s: float = 5.0) -> Any:
    """A plain Redis client for the queue; two quick retries, so that an outage is noticed in about a second."""
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.1), 2)
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=retry,
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


def open_queue(connection: Any, name: str = QUEUE) -> Any:
    """The queue of evolutions. JSON, never pickle: whoever can write to this Redis must not be able to run code."""
    return Queue(name, connection=connection, serializer="json")


def job_id_of(event_id: str) -> str:
    """The job of a request, the same however often the request is delivered."""
    return derived_id("evolution", event_id)


def run_key(loop: str, run_id: str) -> str:
    """Where a run's newest job is written down."""
    return f"meta_learning:evolver:run:{loop}:{run_id}"


def lease_key(loop: str, run_id: str) -> str:
    """The lease of a run: whoever holds it works on the run."""
    return f"meta_learning:evolver:lease:{loop}:{run_id}"


def cancel_key(job_id: str) -> str:
    """Set when somebody asked this job to stop."""
    return f"meta_learning:evolver:cancel:{job_id}"


def outages_key(job_id: str) -> str:
    """How often this job stepped aside because its model was silent."""
    return f"meta_learning:evolver:outages:{job_id}"
