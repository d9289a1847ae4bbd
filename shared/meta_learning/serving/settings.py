"""The settings that every process shares; each service adds its own in its `__main__`.

Read once at start: environment variables ``META_LEARNING_*``, a ``.env`` file in the working folder, and for secrets a file
named by ``<NAME>_FILE`` (Docker and Kubernetes secrets). An empty variable counts as unset, since compose files and ``.env``
files pass those on; an empty secret file is a mistake. A bad value is a `ConfigurationError` that names the variable.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from meta_learning.errors import ConfigurationError

PREFIX = "META_LEARNING_"
SECRETS = (
    "META_LEARNING_OPERATOR_KEY",
    "META_LEARNING_API_KEYS",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "REDIS_URL",
    "RQ_REDIS_URL",
)


class Settings(BaseSettings):
    """What all processes of one deployment must agree on, and where they listen."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
    )

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("REDIS_URL", "META_LEARNING_REDIS_URL"),
        description="The broker of the event log: redis://, rediss:// or unix://. `python -m services` sets it for you.",
    )
    host: str = Field(
        "127.0.0.1", description="The address to listen on; any other than loopback needs an operator key."
    )
    data_folder: Path = Field(
        Path("data/meta_learning"), description="Where models, prompts, runs, logs and figures are kept."
    )
    partitions_count: int = Field(4, ge=1, le=1024, description="Partitions of the event log; fixed at first start.")
    loops_count_max: int = Field(
        10_000, ge=1, description="How many loops may exist; a loop is created by its first event."
    )
    backlog_count_max: int = Field(
        100_000, ge=1, description="Accepted but unfolded entries a partition may hold before ingest pushes back."
    )
    cycle_size: int = Field(100, ge=10, le=10_000, description="Pieces of feedback that make one training cycle.")
    drift_threshold: float = Field(
        0.3, ge=0.0, le=1.0, description="A drift score above this is worth an operator's look."
    )
    alignment_threshold: float = Field(
        0.7, ge=0.0, le=1.0, description="The alignment that divides aligned from misaligned."
    )
    identity_window_s: int = Field(24 * 3600, ge=60, description="How long an event_id is remembered, in seconds.")
    durability: Literal["memory", "everysec", "fsync"] = Field(
        "everysec",
        description="`memory` dies with the broker, `everysec` may lose its last 2 s (busy disk, power), `fsync` nothing.",
    )
    operator_key: SecretStr | None = Field(
        None, description="Opens the operators' door; required when `host` is not loopback."
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="The least severity that is logged."
    )

    @model_validator(mode="after")
    def _guard_the_doors(self) -> Settings:
        if not is_loopback(self.host) and not (self.operator_key and self.operator_key.get_secret_value().strip()):
            raise ValueError(
                f"host {self.host} is reachable from outside: set META_LEARNING_OPERATOR_KEY (or _FILE), or listen on 127.0.0.1"
            )
        return self


_S = TypeVar("_S", bound=Settings)


def read_settings(settings_type: type[_S], **overrides: Any) -> _S:
    """Read ``settings_type`` from the environment; ``overrides`` win (command line).

    Raises:
        ConfigurationError: a value is missing or out of bounds; the message names the variable and never its value.
    """
    try:
        return settings_type(**(_secrets_from_files() | overrides))
    except ValidationError as error:
        raise ConfigurationError("; ".join(_complaint(item) for item in error.errors(include_input=False))) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secrets_from_files() -> dict[str, str]:
    found = {}
    for name in SECRETS:
        path = os.environ.get(f"{name}_FILE")
        if path and not os.environ.get(name):
            try:
                secret = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationError(f"{name}_FILE: cannot read {path}: {error.strerror}") from None
            if not secret:
                raise ConfigurationError(f"{name}_FILE: {path} is empty")
            found[name.removeprefix(PREFIX).lower()] = secret
    return found


def _complaint(item: Any) -> str:
    where = str(item["loc"][0]) if item["loc"] else ""
    name = where if where.isupper() else PREFIX + where.upper()
    said = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {said}" if where else said
