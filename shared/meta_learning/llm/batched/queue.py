"""Requests that wait together are answered together, by one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from meta_learning.errors import CallerError

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Waiting(Generic[Question, Answer]):
    """A question, the ``kin`` it has in common with some others, and the place where its answer will be."""

    def __init__(self, question: Question, kin: Hashable = None) -> None:
        self.question, self.kin = question, kin
        self.future: Future[Answer] = Future()

    @property
    def abandoned(self) -> bool:
        """Nobody waits for it any more."""
        return self.future.cancelled()

    def answer(self, answer: Answer) -> None:
        """Hand the answer over, unless nobody waits any more or something was handed over before."""
        if self._open():
            self.future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """Hand an error over, on the same terms."""
        if self._open():
            self.future.set_exception(error)

    def _open(self) -> bool:
        # From here on a cancellation no longer takes effect, so that it cannot come between this and the result.
        return not self.future.done() and self.future.set_running_or_notify_cancel()


class BatchQueue(Generic[Question, Answer]):
    """Collects questions, and gives up to ``batch_max`` of them at a time to ``work``, in a thread of its own.

    A batch begins when no further question came for ``wait_s``, or when it is full. ``work`` hands over each answer itself;
    what it raises goes to all whose answer is missing. Where more wait than fit, the one that waits longest is taken and all with
    its ``kin``, then the next: a batch of one kind, and nobody is passed over for ever.

    >>> def work(batch: list[Waiting[int, int]]) -> None:
    ...     for one in batch:
    ...         one.answer(one.question * len(batch))
    >>> queue = BatchQueue(work, batch_max=2, wait_s=0.5)
    >>> [future.result() for future in [queue.put(5), queue.put(7)]]
    [10, 14]
    >>> queue.close()
    """

    def __init__(
        self,
        work: Callable[[list[Waiting[Question, Answer]]], None],
        batch_max: int,
        wait_s: float,
        kin: Callable[[Question], Hashable] = lambda question: None,
    ) -> None:
        self._work, self._batch_max, self._wait_s, self._kin = work, batch_max, wait_s, kin
        self._waiting: deque[Waiting[Question, Answer]] = deque()
        self._came = threading.Condition()
        self._closed = False
        # An executor's thread is ended by the interpreter even where nobody closes the model.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batched-llm")

    def put(self, question: Question) -> Future[Answer]:
        """The answer to come; cancelling it takes the question out.

        Raises:
            CallerError: it was closed.
        """
        one: Waiting[Question, Answer] = Waiting(question, self._kin(question))
        with self._came:
            if self._closed:
                raise CallerError("this local model was closed")
            self._waiting.append(one)
            self._came.notify()
            self._thread.submit(self._turn)
        return one.future

    def close(self) -> None:
        """Wait for the batch in progress and refuse those that still wait; harmless when called twice."""
        with self._came:
            self._closed = True
            self._came.notify()
        self._thread.shutdown(wait=True)

    def _turn(self) -> None:
        """One for each question; the turns whose question went into an earlier batch find nothing to do."""
        batch = self._taken()
        if self._closed:
            for one in batch:
                one.fail(CallerError("this local model was closed before it answered"))
        elif batch:
            try:
                self._work(batch)
            except BaseException as error:  # noqa: BLE001 (nobody may wait for ever, whatever happened)
                for one in batch:
                    one.fail(error)

    def _taken(self) -> list[Waiting[Question, Answer]]:
        with self._came:
            while self._waiting and len(self._waiting) < self._batch_max and not self._closed:
                if not self._came.wait(self._wait_s):
                    break
            count = len(self._waiting) if self._closed else min(len(self._waiting), self._batch_max)
            waiting = [one for one in self._waiting if not one.abandoned]
            taken = _of_a_kind(waiting)[:count]
            left = set(waiting).difference(taken)
            self._waiting = deque(one for one in waiting if one in left)
            return taken


def _of_a_kind(waiting: list[Waiting[Question, Answer]]) -> list[Waiting[Question, Answer]]:
    """Kin side by side, the kin of those that wait longest first."""
    eldest: dict[Hashable, int] = {}
    for place, one in enumerate(waiting):
        eldest.setdefault(one.kin, place)
    return sorted(waiting, key=lambda one: eldest[one.kin])
