"""Several queues, one worker: evolutions first, then help with them, cells of studies while there are none.

RQ moves a job of a *single* queue to where it is found again after a kill at that very moment; from several queues it
only pops it. So each queue is asked by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rq import Queue

LOOK_EVERY_S = 2  # an idle worker waits so long at the first queue before it looks at the others


class InTurn(Queue):  # type: ignore[misc]  # rq is untyped here
    """RQ's queue, whose ``dequeue_any`` never takes from several queues at once."""

    @classmethod
    def dequeue_any(cls, queues: Iterable[Any], timeout: int | None, *rest: Any, **how: Any) -> Any:
        """The next job of the first queue that has one.

        Raises:
            DequeueTimeout: none came in time; the worker looks again.
        """
        in_order = list(queues)
        for queue in in_order:
            found = super().dequeue_any([queue], None, *rest, **how)
            if found is not None:
                return found
        if timeout is None:
            return None
        return super().dequeue_any(in_order[:1], min(timeout, LOOK_EVERY_S), *rest, **how)
