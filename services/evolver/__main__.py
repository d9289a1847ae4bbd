"""``python -m services.evolver``: settings read, adapters chosen, doors opened."""

from __future__ import annotations

from meta_learning.serving.logs import log_as_json
from meta_learning.serving.running import exit_on_bad_settings, serve
from meta_learning.serving.settings import read_settings
from meta_learning.streams.opening import open_log
from services.evolver.app import make_app
from services.evolver.settings import EvolverSettings


def main() -> None:
    """Run the evolver until SIGTERM or SIGINT."""
    settings = read_settings(EvolverSettings)
    log_as_json("evolver", settings.log_level)
    stream = open_log(settings.redis_url, settings.partitions_count, settings.log_limits)
    serve(make_app(settings, stream), settings.host, settings.evolver_port, drain_s=1)


if __name__ == "__main__":
    exit_on_bad_settings(main)
