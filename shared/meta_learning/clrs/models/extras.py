"""Libraries that only some models need: imported when such a model is made, named in the error when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from meta_learning.errors import ConfigurationError


def needed(module: str, extra: str) -> Any:
    """The module ``module``, which comes with the extra ``extra``.

    >>> needed("math", extra="none").pi > 3
    True

    Raises:
        ConfigurationError: it is not installed, or does not load here.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(f"this model needs {module}: install meta-learning-loop[{extra}] ({error})") from None
