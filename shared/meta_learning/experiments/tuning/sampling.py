"""What is taken of Optuna: where settings may lie, and who draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_learning.errors import ConfigurationError
from meta_learning.experiments.tuning.config import Range

STARTUP_COUNT = 8


def optuna_of_extra() -> Any:
    """The package.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigurationError("tuning needs Optuna: pip install 'meta-learning-loop[tuning]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distributions(space: Mapping[Any, Range]) -> dict[str, Any]:
    """Each setting's, as Optuna wants it."""
    return {name: _distribution(one) for name, one in space.items()}


def sampler(seed: int, number: int) -> Any:
    """One for each trial, seeded by its number: else the draws would depend on where the search was cut off."""
    samplers = optuna_of_extra().samplers
    return samplers.TPESampler(seed=seed * 1_000_003 + number, n_startup_trials=STARTUP_COUNT)


def _distribution(one: Range) -> Any:
    kinds = optuna_of_extra().distributions
    if one.choices is not None:
        return kinds.CategoricalDistribution(one.choices)
    if isinstance(one.low, int) and isinstance(one.high, int):
        return kinds.IntDistribution(one.low, one.high, log=one.log)
    return kinds.FloatDistribution(one.low, one.high, log=one.log)
