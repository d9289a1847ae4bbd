"""Write `.env.example` and `docs/configuration.md` from the settings classes: `python -m docs.generate.configuration`.

The classes are the only place where a setting is described; a test compares both files with what this would write.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from meta_learning.serving.settings import PREFIX, SECRETS, Settings

ROOT = Path(__file__).parents[2]
SERVICES = ("ingest", "trainer", "evolver", "monitor")
# Read by docker-compose.yml alone, no program knows them: name, default, sentence.
COMPOSE = (
    (
        "BASE",
        "python:3.11-slim-bookworm",
        "The image that the four images are built on; any with Python 3.11 or newer.",
    ),
    (
        "PIP_OPTIONS",
        "",
        "Added to the installation in the images, say `--no-index --find-links /lock` with a ./wheelhouse.",
    ),
    ("BROKER_IMAGE", "valkey/valkey:9.0-alpine", "The broker: Valkey 7.2 or newer, or Redis 7.0 or newer."),
    ("BROKER_MEMORY", "768mb", "When the broker holds this much it refuses writes, and ingest answers 503."),
    ("BROKER_MEMORY_LIMIT", "1g", "The memory limit of the broker's container; leave room above BROKER_MEMORY."),
    ("PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0", "The image of Prometheus."),
    ("GRAFANA_IMAGE", "grafana/grafana:12.2.0", "The image of Grafana."),
    ("PROMETHEUS_PORT", "9090", "Where Prometheus is published on 127.0.0.1."),
    ("GRAFANA_PORT", "3000", "Where Grafana is published on 127.0.0.1."),
    ("OPERATOR_KEY_FILE", "./deploy/secrets/operator_key", "The operator key's file (deploy/new_secrets.sh makes it)."),
    (
        "GRAFANA_PASSWORD_FILE",
        "./deploy/secrets/grafana_password",
        "The file with the password of Grafana's user `admin`.",
    ),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable as a person sets it."""

    name: str
    default: str
    bound: str
    sentence: str

    @property
    def by_file(self) -> bool:
        """Whether ``<NAME>_FILE`` may name a file that holds it."""
        return self.name in SECRETS


def settings_of(service: str) -> type[Settings] | None:
    """The settings class that the service's program reads; None where there is no such program."""
    if importlib.util.find_spec(f"services.{service}.__main__") is None:
        return None
    program = importlib.import_module(f"services.{service}.__main__")
    return next(
        value
        for value in vars(program).values()
        if isinstance(value, type) and issubclass(value, Settings) and value is not Settings
    )


def sections() -> Iterator[tuple[str, str, list[Variable]]]:
    """Each group of variables: title, introduction, variables in the order of the class."""
    yield "Every process", "All processes of one deployment must agree on these.", variables(Settings)
    for service in SERVICES:
        if (settings := settings_of(service)) is not None:
            yield f"The {service}", "", variables(settings)
    compose = [Variable(name, default, "", sentence) for name, default, sentence in COMPOSE]
    yield "docker-compose.yml", "Read by the compose file alone; no program knows them.", compose


def variables(settings: type[Settings]) -> list[Variable]:
    """The variables that ``settings`` adds to those which every process has (or, for `Settings` itself, those)."""
    shared = Settings.model_fields if settings is not Settings else {}
    return [
        Variable(variable_name(name, field), default_text(field), bound_text(field), (field.description or "").strip())
        for name, field in settings.model_fields.items()
        if name not in shared
    ]


def variable_name(name: str, field: FieldInfo) -> str:
    """What is written in the environment for the field ``name``."""
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return PREFIX + name.upper()


def default_text(field: FieldInfo) -> str:
    """The default as one would write it in the environment; empty where there is none."""
    default = field.get_default(call_default_factory=True)
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)


def bound_text(field: FieldInfo) -> str:
    """What values are accepted, in signs that need no explanation."""
    if choices := _choices(field.annotation):
        return " \\| ".join(choices)
    words = []
    for rule in field.metadata:
        for attribute, sign in (("ge", "≥ "), ("gt", "> "), ("le", "≤ "), ("lt", "< "), ("max_length", "length ≤ ")):
            if (bound := getattr(rule, attribute, None)) is not None:
                words.append(f"{sign}{bound:,}")
        if pattern := getattr(rule, "pattern", None):
            words.append(f"`{pattern}`".replace("|", "\\|"))
    return ", ".join(words)


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    return next((found for part in get_args(annotation) if (found := _choices(part))), ())


def env_example() -> str:
    """The text of `.env.example`: every line shows the default, commented out."""
    lines = [
        "# Every setting with its default. Copy this file to .env and uncomment what you change.",
        "# A secret can also be read from a file: set NAME_FILE instead of NAME.",
        "# Made by `python -m docs.generate.configuration` from the settings classes.",
    ]
    for title, introduction, group in sections():
        lines += ["", f"# ---- {title} ----" + (f" {introduction}" if introduction else "")]
        for variable in group:
            bound = f" [{variable.bound}]" if variable.bound else ""
            lines += ["", f"# {variable.sentence}{bound}".replace("\\|", "|"), f"# {variable.name}={variable.default}"]
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """The text of `docs/configuration.md`."""
    lines = [
        "# Configuration",
        "",
        "Every process reads its settings once, at start: environment variables, then a `.env` file in the working folder.",
        "Every setting has a default that works on a laptop. A bad value ends the process at once with a line that names the",
        "variable. A variable marked ⁂ is a secret or may hold one: `NAME_FILE` can name a file to read it from. An empty",
        "variable counts as unset.",
        "",
        "`.env.example` holds the same list to copy from. `make up` and `make demo` start a broker of their own and set",
        "`REDIS_URL` themselves, unless it is set.",
        "",
        "Made by `python -m docs.generate.configuration` from the settings classes; do not edit by hand.",
    ]
    for title, introduction, group in sections():
        if not group:
            continue
        lines += ["", f"## {title}", ""]
        lines += [introduction, ""] if introduction else []
        lines += ["| variable | default | accepted | what it is |", "|---|---|---|---|"]
        lines += [_row(variable) for variable in group]
    return "\n".join(lines) + "\n"


def _row(variable: Variable) -> str:
    mark = " ⁂" if variable.by_file else ""
    default = f"`{variable.default}`" if variable.default else "–"
    return f"| `{variable.name}`{mark} | {default} | {variable.bound or '–'} | {variable.sentence.replace('|', chr(92) + '|')} |"


def files() -> dict[Path, str]:
    """What this program writes."""
    return {ROOT / ".env.example": env_example(), ROOT / "docs/configuration.md": configuration_page()}


def main() -> None:
    """Write both files."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "shared")]
    main()
