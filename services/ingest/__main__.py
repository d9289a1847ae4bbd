"""`python -m services.ingest`: the applications' door. `python -m services.ingest make-key NAME` makes an API key."""

from __future__ import annotations

import sys

from pydantic import Field, SecretStr, field_validator

from meta_learning.clrs.acting import policy_named
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.text_model import warm_up
from meta_learning.errors import ConfigurationError
from meta_learning.registry.store import FileStore
from meta_learning.serving.logs import log_as_json
from meta_learning.serving.running import Work, exit_on_bad_settings, serve, stop_this_process
from meta_learning.serving.settings import Settings, read_settings
from meta_learning.streams import Limits
from meta_learning.streams.opening import open_log
from services.ingest.app import Plan, ingest_app
from services.ingest.door import Bounds
from services.ingest.keys import Keys, make_key
from services.ingest.outcomes import Promise


class IngestSettings(Settings):
    """The ingest service's own settings."""

    ingest_port: int = Field(8001, ge=1, le=65535, description="Port of the applications' door.")
    api_keys: SecretStr | None = Field(
        None,
        description="Hashed API keys `id:sha256hex[:ingest+read]`, apart by commas or lines; empty opens the doors to everybody.",
    )
    single_bytes_max: int = Field(
        512 * 1024,
        ge=1024,
        le=16 * 2**20,
        description="Bytes of one item; two texts of 32 KiB take up to six times as much when every sign is escaped.",
    )
    batch_bytes_max: int = Field(16 * 2**20, ge=1024, le=256 * 2**20, description="Bytes of one batch request.")
    batch_items_max: int = Field(10_000, ge=1, le=100_000, description="Items of one batch request.")
    append_items_max: int = Field(1000, ge=1, le=10_000, description="Items that go to the broker in one append.")
    waiting_count_max: int = Field(
        10_000, ge=1, description="Single items that may wait for the broker before the door answers 429."
    )
    in_hand_bytes_max: int = Field(
        256 * 2**20, ge=2**20, description="Bytes of all large bodies in hand before the door answers 503."
    )
    body_wait_s_max: float = Field(30.0, gt=0, le=600, description="How long a body may take to come, in seconds.")
    broker_wait_s_max: float = Field(
        10.0, gt=0, le=120, description="How long the broker may take for one answer, in seconds."
    )
    retry_after_s: float = Field(
        2.0, ge=1, le=600, description="When a producer is told to try again after back-pressure, in seconds."
    )
    champion_refresh_s: float = Field(
        1.0, ge=0, le=3600, description="How old a champion in memory may be before its pointer is read again."
    )
    champions_count_max: int = Field(64, ge=1, description="Models, and likewise prompts, kept in memory.")
    predict_threads: int = Field(2, ge=1, le=64, description="Threads that score candidates.")
    exploration: str = Field(
        "squarecb",
        description="How rankings explore: `squarecb`, `epsilon_greedy`, `softmax` (each may take `:strength`); `greedy` does not.",
    )
    asks_per_100: float = Field(
        100.0, gt=0, le=100, description="Of 100 rankings, about how many say that feedback is worth asking for."
    )
    drain_s: int = Field(5, ge=0, le=600, description="How long open requests may take to finish at the end.")

    @field_validator("api_keys")
    @classmethod
    def _hashed(cls, keys: SecretStr | None) -> SecretStr | None:
        Keys.parse(keys.get_secret_value() if keys else "")
        return keys

    @field_validator("exploration")
    @classmethod
    def _known(cls, exploration: str) -> str:
        try:
            policy_named(exploration)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return exploration

    def plan(self) -> Plan:
        """The values of the service's parts."""
        return Plan(
            bounds=Bounds(self.single_bytes_max, self.batch_bytes_max, self.batch_items_max, self.append_items_max),
            promise=Promise(self.identity_window_s, self.durability, self.loops_count_max, self.retry_after_s),
            keys=Keys.parse(self.api_keys.get_secret_value() if self.api_keys else ""),
            backlog_count_max=self.backlog_count_max,
            waiting_count_max=self.waiting_count_max,
            in_hand_bytes_max=self.in_hand_bytes_max,
            body_wait_s_max=self.body_wait_s_max,
            broker_wait_s_max=self.broker_wait_s_max,
            champion_refresh_s=self.champion_refresh_s,
            champions_count_max=self.champions_count_max,
            predict_threads=self.predict_threads,
            exploration=policy_named(self.exploration),
            asks_per_100=self.asks_per_100,
            cycle_size=self.cycle_size,
        )


def main() -> None:
    """Read the settings, wire the service, serve until stopped."""
    settings = read_settings(IngestSettings)
    log_as_json("ingest", settings.log_level)
    limits = Limits(
        backlog_count_max=settings.backlog_count_max,
        loops_count_max=settings.loops_count_max,
        identity_window_s=settings.identity_window_s,
    )
    event_log = open_log(settings.redis_url, settings.partitions_count, limits)
    store = FileStore(settings.data_folder / "registry")
    warm_up()  # compiling takes seconds at the first start on a machine: no ranking should wait for it
    app = ingest_app(event_log, store, load_model, settings.plan(), Work(stop_this_process))
    serve(app, settings.host, settings.ingest_port, settings.drain_s)


def print_new_key(arguments: list[str]) -> None:
    """``make-key NAME [ingest+read]``: the key on the first line, the entry for META_LEARNING_API_KEYS on the second."""
    try:
        key, entry = make_key(*arguments)
    except (TypeError, ValueError):
        raise ConfigurationError("make-key NAME [ingest|read|ingest+read]; NAME of letters, digits, . _ -") from None
    print(key)
    print(entry)
    print("Give the first line to the application; add the second to META_LEARNING_API_KEYS.", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make-key"]:
        exit_on_bad_settings(lambda: print_new_key(sys.argv[2:]))
    else:
        exit_on_bad_settings(main)
