"""Opening a log by its URL: the one place that knows which adapter a scheme means."""

from __future__ import annotations

from meta_learning.errors import ConfigurationError
from meta_learning.streams import DEFAULT_LIMITS, Limits, Log


def open_log(
    url: str, partitions_count: int = 4, limits: Limits = DEFAULT_LIMITS, prefix: str = "meta_learning"
) -> Log:
    """The log behind ``url``, not started yet: ``redis://``, ``rediss://``, ``unix://``, or ``memory://`` (in this process).

    >>> open_log("memory://", partitions_count=2).partitions_count
    2
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        from meta_learning.streams.memory import MemoryLog

        return MemoryLog(partitions_count, limits)
    if scheme in ("redis", "rediss", "unix"):
        from meta_learning.streams.redis import RedisLog

        return RedisLog(url, partitions_count, limits, prefix)
    raise ConfigurationError(f"no log is known behind {scheme}://; use redis://, rediss://, unix:// or memory://")
