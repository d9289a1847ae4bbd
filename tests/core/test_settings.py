"""The settings of every process: what is empty, what is secret, what would leave a door open."""

from __future__ import annotations

from pathlib import Path

import pytest

from meta_learning.errors import ConfigurationError
from meta_learning.serving.settings import Settings, read_settings

OUTSIDE, KEY, KEY_FILE = "META_LEARNING_HOST", "META_LEARNING_OPERATOR_KEY", "META_LEARNING_OPERATOR_KEY_FILE"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    for name in (OUTSIDE, KEY, KEY_FILE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_door_that_others_can_reach_does_not_open_without_a_key(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv(OUTSIDE, "0.0.0.0")
    if key is not None:
        monkeypatch.setenv(KEY, key)
    with pytest.raises(ConfigurationError, match=KEY):
        read_settings(Settings)


def test_an_empty_secret_file_is_a_mistake_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    with pytest.raises(ConfigurationError, match=f"{KEY_FILE}.*is empty"):
        read_settings(Settings)


def test_an_empty_variable_does_not_hide_the_secret_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    monkeypatch.setenv(KEY, "")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    key = read_settings(Settings).operator_key
    assert key is not None
    assert key.get_secret_value() == "from the file"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("META_LEARNING_CYCLE_SIZE", "")
    assert read_settings(Settings).cycle_size == 100
