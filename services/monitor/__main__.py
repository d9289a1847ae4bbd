"""`python -m services.monitor`: fold what happened, show it, take operators' commands."""

from __future__ import annotations

import socket
import uuid
from datetime import UTC, datetime

from pydantic import Field

from meta_learning.clrs import LoopMonitor, LoopSettings
from meta_learning.registry.store import FileStore
from meta_learning.serving.logs import log_as_json
from meta_learning.serving.running import exit_on_bad_settings, serve, stop_this_process
from meta_learning.serving.settings import Settings, read_settings
from meta_learning.streams import Limits, Log
from meta_learning.streams.opening import open_log
from services.monitor.app import Parts, monitor_app
from services.monitor.consumer import PartitionConsumer
from services.monitor.folding import FoldLimits, Watches
from services.monitor.operator import Operator
from services.monitor.view import View


class MonitorSettings(Settings):
    """The monitor's own settings."""

    monitor_port: int = Field(8000, ge=1, le=65535, description="Port of the page, the API and the metrics.")
    monitor_pairs_count_max: int = Field(
        2_000, ge=10, description="Pieces of feedback a loop may keep in memory until a cycle claims them."
    )
    monitor_pairs_bytes_max: int = Field(
        4 * 1024 * 1024, ge=64 * 1024, description="Characters of text a loop may keep in memory for that."
    )


def open_monitor_log(settings: MonitorSettings) -> Log:
    """The event log that the settings name."""
    limits = Limits(
        backlog_count_max=settings.backlog_count_max,
        loops_count_max=settings.loops_count_max,
        identity_window_s=settings.identity_window_s,
    )
    return open_log(settings.redis_url, settings.partitions_count, limits)


def loop_settings_of(settings: MonitorSettings) -> LoopSettings:
    """The trainer's own settings: only with the same ones are the gauges those of ``get_system_summary()``."""
    return LoopSettings(
        cycle_size=settings.cycle_size,
        drift_threshold=settings.drift_threshold,
        alignment_threshold=settings.alignment_threshold,
    )


def parts_of(settings: MonitorSettings, loop_settings: LoopSettings) -> Parts:
    """Wire the monitor's parts."""
    log, view = open_monitor_log(settings), View(settings.partitions_count)
    watches = Watches(
        new=lambda: LoopMonitor(loop_settings),
        joined=lambda state, references: LoopMonitor.joined(state, references, settings=loop_settings),
    )
    limits = FoldLimits(settings.monitor_pairs_count_max, settings.monitor_pairs_bytes_max)
    # A stable name: a restarted monitor takes its own leases over at once, without waiting for them to run out.
    owner = f"{socket.gethostname()}-{settings.monitor_port}"
    consumers = [
        PartitionConsumer(log, number, owner, view, watches, limits) for number in range(settings.partitions_count)
    ]
    store = FileStore(settings.data_folder / "registry")
    operator = Operator(log, store, view, now=lambda: datetime.now(UTC), new_id=lambda: uuid.uuid4().hex)
    key = settings.operator_key.get_secret_value() if settings.operator_key else None
    return Parts(log, view, consumers, operator, key, on_failure=stop_this_process)


def main() -> None:
    """Read the settings, wire the monitor, serve until stopped."""
    settings = read_settings(MonitorSettings)
    log_as_json("monitor", settings.log_level)
    loop_settings = loop_settings_of(settings)
    parts = parts_of(settings, loop_settings)
    app = monitor_app(parts, loop_settings)
    serve(app, settings.host, settings.monitor_port, on_stop=parts.live.close)


if __name__ == "__main__":
    exit_on_bad_settings(main)
