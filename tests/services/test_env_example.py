"""`.env.example` and `docs/configuration.md` say what the settings classes say."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate.configuration import COMPOSE, ROOT, SERVICES, files, settings_of, variable_name
from meta_learning.serving.settings import Settings

CLASSES = [Settings, *(found for service in SERVICES if (found := settings_of(service)))]


def examples() -> dict[str, str]:
    """The commented assignments of `.env.example`."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = (
        line.removeprefix("# ").split("=", 1) for line in lines if "=" in line and line.split("=")[0][2:].isupper()
    )
    return {name: value for name, value in pairs}  # noqa: C416 - a pair is a list here


@pytest.mark.parametrize("path", list(files()), ids=lambda path: path.name)
def test_the_generated_file_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == files()[path], "run `python -m docs.generate.configuration`"


@pytest.mark.parametrize("settings", CLASSES, ids=lambda settings: settings.__name__)
def test_every_setting_has_a_sentence_and_stands_in_the_example(settings: type[Settings]) -> None:
    shown = examples()
    for name, field in settings.model_fields.items():
        assert field.description, f"{name} needs a sentence"
        assert field.description.strip().endswith((".", "?")), f"{name}: {field.description!r} is no sentence"
        assert variable_name(name, field) in shown


@pytest.mark.parametrize("settings", CLASSES, ids=lambda settings: settings.__name__)
def test_uncommenting_the_whole_example_changes_nothing(
    settings: type[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in examples():
        monkeypatch.delenv(name, raising=False)
    plain = settings()
    given = "\n".join(f"{name}={value}" for name, value in examples().items() if value)
    (tmp_path / ".env").write_text(given, encoding="utf-8")
    assert settings() == plain


def test_what_only_the_compose_file_reads_has_the_same_default_there() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for name, default, _ in COMPOSE:
        assert f"${{{name}:-{default}}}" in compose
