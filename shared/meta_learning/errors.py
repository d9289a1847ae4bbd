"""Every error that this library raises on purpose, in one tree.

```
MetaLearningError
├── CallerError                 you asked for something that cannot be: fix the call, a retry will not help
│   ├── ConfigurationError      a setting is missing, out of bounds, or contradicts what was stored at first start
│   ├── UnknownModel            a provider has no such model, or has retired it
│   ├── UnsupportedEstimator    an estimator that cannot learn online, or cannot be saved safely
│   ├── ModelCallsForbidden     real model calls are switched off (tests), and one was about to be made
│   └── NotFound                a version, run, loop or entry that does not exist
├── MalformedInput              what came in does not have the promised form: the sender must mend it
│   ├── MalformedEvent          a stream entry or a request body that is no event of ours
│   ├── MalformedDataset        a data file with a bad row; the message names the row
│   └── MalformedState          saved state that cannot be read back, or whose digest does not match
└── WorldError                  something outside is down or full: the same call may succeed later
    ├── BrokerUnavailable       the broker does not answer
    ├── StoreUnavailable        a store of artifacts cannot be used: disk full, no permission
    ├── BackPressure            a reader lags too far behind; `retry_after_s` says when to try again
    ├── OwnershipLost           another owner holds this partition now; what was about to be committed was not
    ├── TooManyDeadLetters      a fold parks too large a share of what it reads: it stops, and nothing of the batch took effect
    ├── LLMUnavailable          the language model does not answer after all retries
    │   └── ParameterRefused    the model's server refuses an optional parameter: ask again, it is left out from now on
    ├── BudgetExhausted         a cap on calls, tokens, money or seconds is reached; no call was made
    └── Cancelled               somebody asked this run to stop; it can be resumed
```
"""

from __future__ import annotations


class MetaLearningError(Exception):
    """The root: catch this to catch everything that the library raises on purpose.

    ``billed`` is about calls to language models that brought no reply: False where they cost nothing, True where they may have been
    billed by at most what was reserved for them, else the tokens of the prompt and of the answer that were billed.
    """

    billed: bool | tuple[int, int] = False


class CallerError(MetaLearningError):
    """Raised when the call itself is wrong; retrying it unchanged cannot help."""

    def __init__(self, *said: object, billed: bool | tuple[int, int] = False) -> None:
        super().__init__(*said)
        self.billed = billed


class ConfigurationError(CallerError):
    """Raised when a setting is missing, out of bounds, or differs from what was stored at first start."""


class UnknownModel(CallerError):
    """Raised when a provider does not know a model name, or has retired it."""


class UnsupportedEstimator(CallerError):
    """Raised when an estimator has no ``partial_fit``, or holds types that cannot be saved without pickle."""


class ModelCallsForbidden(CallerError):
    """Raised in place of a real model call while those are switched off."""


class NotFound(CallerError):
    """Raised when a version, run, loop or entry does not exist."""


class MalformedInput(MetaLearningError):
    """Raised when data does not have the promised form."""


class MalformedEvent(MalformedInput):
    """Raised when bytes are not an event of ours; ``field`` names the first offending field, if one is known."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MalformedDataset(MalformedInput):
    """Raised when a data file has a bad row, or lacks a column; ``row`` is its 1-based number.

    ``lacks``: what the column was to be ("input", "expected" or "group"), so that a program can say how to name another.

    >>> print(MalformedDataset("'score' is empty", row=7).of_file("ratings.csv"))
    ratings.csv, row 7: 'score' is empty
    """

    def __init__(self, message: str, row: int | None = None, file: str | None = None, lacks: str | None = None) -> None:
        where = ", ".join(part for part in (file, None if row is None else f"row {row}") if part)
        super().__init__(f"{where}: {message}" if where else message)
        self.message, self.row, self.file, self.lacks = message, row, file, lacks

    def of_file(self, name: str) -> MalformedDataset:
        """The same error with the file's name; one without a row, or with a name already, as it is."""
        return self if self.row is None or self.file else MalformedDataset(self.message, self.row, name, self.lacks)


class MalformedState(MalformedInput):
    """Raised when saved state cannot be read back, or does not match its digest."""


class WorldError(MetaLearningError):
    """Raised when something outside is down or full; the same call may succeed later."""


class BrokerUnavailable(WorldError):
    """Raised when the broker does not answer."""


class StoreUnavailable(WorldError):
    """Raised when a store of artifacts cannot be read or written now: the disk is full, or refuses."""


class BackPressure(WorldError):
    """Raised when a reader lags too far behind to accept more; try again after ``retry_after_s`` seconds."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OwnershipLost(WorldError):
    """Raised when a fenced commit finds a newer owner; nothing of the commit took effect."""


class TooManyDeadLetters(WorldError):
    """Raised instead of a commit that would pass the limit on parked entries; what it would have parked stays in the stream."""


class LLMUnavailable(WorldError):
    """Raised when a language model does not answer after all retries; ``retry_after_s`` is what the server asked for.

    ``billed``: it may have worked all the same, since the request was on its way when the answer failed to come.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, billed: bool | tuple[int, int] = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.billed = billed


class ParameterRefused(LLMUnavailable):
    """Raised when a server refuses an optional parameter of a request; whoever asks again asks without it."""


class BudgetExhausted(WorldError):
    """Raised before a call that would exceed a cap on calls, tokens, money or seconds."""


class Cancelled(WorldError):
    """Raised between calls when somebody asked a run to stop; the run can be resumed."""
