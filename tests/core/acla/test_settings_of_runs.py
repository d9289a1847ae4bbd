"""Settings of another kind than they must be are refused at once, by name."""

from __future__ import annotations

import pytest

from meta_learning.errors import ConfigurationError
from tests.core.acla.simulated import config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"contract": "Answer in verse."}, "contract is 'Answer in verse.'; it must stand in the prompt word for word"),
        ({"contract": 3}, "contract is 3"),
        ({"evolution_strategies": "ablation"}, "evolution_strategies is 'ablation'; it must be a list"),
        ({"evolution_strategies": None}, "evolution_strategies is None; it must be a list"),
        ({"labels": "ab"}, "labels is 'ab'; it must be a list"),
        ({"max_iterations": 2.5}, r"max_iterations is 2.5; it must be a whole number in \[0, 1000\]"),
        ({"calls_max": 100.0}, "calls_max is 100.0; it must be a whole number"),
        ({"children_count": True}, "children_count is True"),
        ({"alpha": "x"}, "alpha is 'x'; it must be a number"),
        ({"seed": "a"}, "seed is 'a'; it must be a whole number"),
        ({"seed": 1.0}, "seed is 1.0"),
        ({"seed": True}, "seed is True"),
    ],
)
def test_settings_of_another_kind_are_refused_by_name(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        config(**changes)


def test_numbers_that_may_have_a_fraction_may_be_whole() -> None:
    assert config(temperature=1, seconds_max=60, seed=-3, labels=None, contract="").seconds_max == 60
