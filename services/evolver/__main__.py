"""``python -m services.evolver``: settings read, adapters chosen, doors opened."""

from __future__ import annotations

import asyncio

from meta_learning.errors import BrokerUnavailable
from meta_learning.serving.logs import log_as_json
from meta_learning.serving.running import exit_on_bad_settings, serve
from meta_learning.serving.settings import read_settings
from meta_learning.streams import Log
from meta_learning.streams.opening import open_log
from services.evolver.app import make_app
from services.evolver.settings import EvolverSettings


def main() -> None:
    """Run the evolver until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: the log was laid out with another number of partitions (also when that shows only later).
    """
    settings = read_settings(EvolverSettings)
    log_as_json("evolver", settings.log_level)
    stream = open_log(settings.redis_url, settings.partitions_count, settings.log_limits)
    asyncio.run(check_layout(open_log(settings.redis_url, settings.partitions_count)))
    app = make_app(settings, stream)
    serve(app, settings.host, settings.evolver_port, drain_s=1)
    if app.state.refused is not None:
        raise app.state.refused


async def check_layout(stream: Log) -> None:
    """Raise `ConfigurationError` where the log cannot be used as it is configured; a broker that is away is waited for later."""
    try:
        await stream.start()
    except BrokerUnavailable:
        pass
    finally:
        await stream.close()


if __name__ == "__main__":
    exit_on_bad_settings(main)
