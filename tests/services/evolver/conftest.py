"""A model at the end of a real HTTP path, and a log that holds feedback on what it can answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from meta_learning.streams import Log
from meta_learning.streams.opening import open_log
from tests.services.evolver.driving import feedback
from tests.services.evolver.loopback import Model, serving


@pytest.fixture
def model() -> Model:
    return Model({f"Message {n:03d} about a parcel": ("complaint", "praise")[n % 2] for n in range(100)})


@pytest.fixture
def model_url(model: Model) -> Iterator[str]:
    with serving(model) as url:
        yield url


@pytest.fixture
async def log(broker_url: str, model: Model) -> AsyncIterator[Log]:
    log = open_log(broker_url)
    await log.start()
    await log.append([feedback(number, *pair) for number, pair in enumerate(model.answers.items())])
    yield log
    await log.close()
