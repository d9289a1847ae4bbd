"""An error that a helper met reaches the run whole: what may be billed is charged there, and what may be asked again is."""

from __future__ import annotations

import pytest

from meta_learning.errors import CallerError, LLMUnavailable, MetaLearningError, ParameterRefused
from services.evolver.desk import read, refused


@pytest.mark.parametrize(
    "error",
    [
        LLMUnavailable("late", billed=True),
        LLMUnavailable("busy", retry_after_s=7.0),
        CallerError("said nothing", billed=(7, 2)),
        ParameterRefused("temperature"),
    ],
    ids=str,
)
def test_an_error_comes_back_as_what_it_was(error: MetaLearningError) -> None:
    back = read(refused(error))
    assert isinstance(back, type(error))
    assert (str(back), back.billed) == (str(error), error.billed)
    assert getattr(back, "retry_after_s", None) == getattr(error, "retry_after_s", None)
