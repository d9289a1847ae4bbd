"""The events: immutable facts (and the few commands) that travel on the streams.

Every event has ``event_id``, ``type``, ``schema_version`` and ``occurred_at`` (UTC). It is encoded as JSON in one field
of a stream entry. A reader ignores fields it does not know, so fields may be added without a new ``schema_version``;
what changes the meaning of a field needs a new one.

>>> event = FeedbackReceived(event_id="a1", occurred_at=parse_time("2026-01-02T03:04:05Z"), loop="support",
...                          input_text="Where is my parcel?", output_text="On its way.", feedback_score=1.0)
>>> decode(event.encode()) == event
True
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from meta_learning.errors import MalformedEvent

TEXT_BYTES_MAX = 32 * 1024
METADATA_BYTES_MAX = 4 * 1024
SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"


def _bounded_text(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError("is not valid Unicode: it holds a lone surrogate") from error
    if size > TEXT_BYTES_MAX:
        raise ValueError(f"is {size} bytes of UTF-8; at most {TEXT_BYTES_MAX} are accepted")
    return text


def _bounded_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:  # a lone surrogate is a ValueError too
        raise ValueError("must be finite JSON in valid Unicode") from error
    if size > METADATA_BYTES_MAX:
        raise ValueError(f"is {size} bytes of JSON; at most {METADATA_BYTES_MAX} are accepted")
    return metadata


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("needs a time zone, for instance 2026-01-02T03:04:05Z")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:  # 0001-01-01T00:00+14:00 is a time, but its UTC is not
        raise ValueError("lies outside the years 1 to 9999 in UTC") from error


Text = Annotated[str, AfterValidator(_bounded_text)]
Metadata = Annotated[dict[str, Any], AfterValidator(_bounded_metadata)]
Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]
EventId = Annotated[str, Field(pattern=ID_PATTERN)]
Time = Annotated[datetime, Field(strict=False), AfterValidator(_aware)]
Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


def parse_time(text: str) -> datetime:
    """ISO 8601 text with a time zone as a UTC time.

    >>> parse_time("2026-01-02T03:04:05+01:00").isoformat()
    '2026-01-02T02:04:05+00:00'
    """
    return _aware(datetime.fromisoformat(text))


class Event(BaseModel):
    """What all events share. Strict (no coercion), frozen, and blind to unknown fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, protected_namespaces=()
    )

    event_id: EventId
    schema_version: Literal[1] = 1
    occurred_at: Time

    def encode(self) -> bytes:
        """The event as the JSON bytes of a stream entry."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read this very type back; `decode` (the function) reads any type.

        Raises:
            MalformedEvent: the bytes are no JSON, or no event of this type.
        """
        return _validated(TypeAdapter(cls), body)


class FeedbackReceived(Event):
    """One piece of feedback: what an application was asked, what it answered, and how much the user liked it in [0, 1]."""

    type: Literal["FeedbackReceived"] = "FeedbackReceived"
    loop: Slug
    input_text: Text
    output_text: Text
    feedback_score: Unit
    metadata: Metadata = Field(default_factory=dict)
    user_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    prompt_version: Annotated[str, Field(max_length=128)] | None = None
    model_version: Annotated[str, Field(max_length=128)] | None = None
    propensity: Probability | None = None

    def identity(self) -> str:
        """Digest of what the producer said (not when): the same ``event_id`` with another digest is a conflict."""
        said = self.model_dump(mode="json", exclude={"event_id", "occurred_at", "schema_version", "type"})
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


class PromoteModel(Event):
    """Command: make ``version`` the champion of ``loop``, whatever the gates say. Also how one rolls back."""

    type: Literal["PromoteModel"] = "PromoteModel"
    loop: Slug
    version: str
    asked_by: str = "operator"


class CycleCompleted(Event):
    """One training cycle of a loop, with everything that a monitor needs to compute its scores again.

    The arrays run in the order of the cycle's events: ``predictions`` were made by the champion *before* it or the
    candidate saw them (``None`` without a champion), ``candidate_predictions`` likewise by the candidate; while there is no
    champion, or a young one, the candidate learns the cycle in four pieces and predicts each piece before it learns it.
    ``probe_champion`` and ``probe_candidate`` are the outputs of both on the loop's fixed probe; ``probe_perturbed``
    those of the champion on the same probe with its inputs perturbed, by the name of the perturbation.
    ``control_predictions`` are those of the control arm, a version that was frozen when ``control_version`` took that part;
    ``shadow_predictions`` those of the version that a baking champion replaced; ``learner_predictions`` those of the model
    that learns on while the candidate is frozen and judged. ``left_out`` lists, by reason (``capped``,
    ``distrusted``), the positions of events that neither trained nor counted; ``segments`` the positions of each named
    segment. ``gate`` is what the gates knew before this cycle: with it, the decision can be computed again from the record.
    """

    type: Literal["CycleCompleted"] = "CycleCompleted"
    loop: Slug
    cycle: Annotated[int, Field(ge=1)]
    first_entry: str
    last_entry: str
    events_count: Annotated[int, Field(ge=1)]
    decision: Literal["promoted", "held", "rejected"]
    reasons: tuple[str, ...]
    numbers: dict[str, float | None] = Field(default_factory=dict)
    champion_version: str | None = None
    candidate_version: str | None = None
    feedback_scores: tuple[Unit, ...]
    predictions: tuple[Unit, ...] | None = None
    candidate_predictions: tuple[Unit, ...] | None = None
    probe_champion: tuple[Unit, ...] | None = None
    probe_candidate: tuple[Unit, ...] | None = None
    control_version: str | None = None
    control_predictions: tuple[Unit, ...] | None = None
    probe_perturbed: dict[str, tuple[Unit, ...]] | None = None
    shadow_version: str | None = None
    shadow_predictions: tuple[Unit, ...] | None = None
    learner_predictions: tuple[Unit, ...] | None = None
    trained_count: int = 0
    capped_count: int = 0
    distrusted_count: int = 0
    left_out: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    segments: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    gate: dict[str, Any] = Field(default_factory=dict)


class ModelPromoted(Event):
    """A model version took over a loop: by its gates (``cause='gate'``), by an operator's command, or by a rollback.

    A ``rollback`` is the loop's own: the version that had taken over lost, on the same events, against the one before.
    """

    type: Literal["ModelPromoted"] = "ModelPromoted"
    loop: Slug
    version: str
    previous: str | None = None
    cause: Literal["gate", "operator", "rollback"]


class EvolutionRequested(Event):
    """Somebody, or a drifting loop, asks for one ACLA run. ``run_id`` names it from here to its result."""

    type: Literal["EvolutionRequested"] = "EvolutionRequested"
    loop: Slug
    run_id: Slug
    asked_by: str = "operator"
    settings: dict[str, Any] = Field(default_factory=dict)


class EvolutionCancelRequested(Event):
    """Somebody asks a running ACLA run to stop between two calls; it stays resumable."""

    type: Literal["EvolutionCancelRequested"] = "EvolutionCancelRequested"
    loop: Slug
    run_id: Slug


class EvolutionProgressed(Event):
    """An ACLA run finished an iteration."""

    type: Literal["EvolutionProgressed"] = "EvolutionProgressed"
    loop: Slug
    run_id: Slug
    iteration: int
    iterations_max: int
    best_score: float | None = None
    calls_count: int = 0
    message: str = ""


class EvolutionCompleted(Event):
    """An ACLA run ended. ``outcome`` says how; only ``improved`` may change the loop's prompt.

    Where a gate took place, ``seed_score`` and ``best_score`` are what the seed prompt and the finalist that was judged
    have on the same items, fresh ones (and those of the search for the seed prompt with thresholds, which did not see their
    answers: ``reason`` counts both), and ``low`` to ``high`` is the 95 % interval of that gain. Otherwise both scores are of
    the search items, and there is no interval.
    """

    type: Literal["EvolutionCompleted"] = "EvolutionCompleted"
    loop: Slug
    run_id: Slug
    outcome: Literal[
        "improved", "no_evidence", "no_headroom", "stopped_by_budget", "search_only", "cancelled", "failed"
    ]
    prompt_version: str | None = None
    seed_score: float | None = None
    best_score: float | None = None
    low: float | None = None
    high: float | None = None
    calls_count: int = 0
    reason: str = ""


class PromptPromoted(Event):
    """A prompt version took over a loop, with the run that found it (none for an operator's own prompt)."""

    type: Literal["PromptPromoted"] = "PromptPromoted"
    loop: Slug
    version: str
    previous: str | None = None
    run_id: str | None = None


AnyEvent = Annotated[
    FeedbackReceived
    | PromoteModel
    | CycleCompleted
    | ModelPromoted
    | EvolutionRequested
    | EvolutionCancelRequested
    | EvolutionProgressed
    | EvolutionCompleted
    | PromptPromoted,
    Field(discriminator="type"),
]
_ANY: TypeAdapter[Any] = TypeAdapter(AnyEvent)


def decode(body: bytes) -> Any:
    """Read any event of this module from the JSON bytes of a stream entry.

    Raises:
        MalformedEvent: the bytes are no JSON, or no event that this version knows.
    """
    return _validated(_ANY, body)


def derived_id(*cause: str) -> str:
    """An event id derived from its cause, so that doing a thing twice emits the same event twice, not two events.

    >>> derived_id("cycle", "support", "7") == derived_id("cycle", "support", "7")
    True
    """
    return hashlib.sha256("\x1f".join(cause).encode()).hexdigest()[:32]


_T = TypeVar("_T")


def _validated(adapter: TypeAdapter[_T], body: bytes) -> _T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise MalformedEvent(*describe(error)) from None


def describe(error: ValidationError) -> tuple[str, str | None]:
    """The first complaint of a pydantic error as (sentence, field), without the offending value: it may be private."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    message = plain(str(first["msg"]))
    return (f"{field}: {message}" if field else message), field


_PLAIN = {
    SLUG_PATTERN: "takes lower-case letters, digits, - and _; at most 64, the first a letter or digit",
    ID_PATTERN: "takes letters, digits and . _ : -; at most 128, the first a letter or digit",
}


def plain(message: str) -> str:
    """A complaint of pydantic's in words: what a name may hold, in place of the bare pattern.

    >>> plain(f"String should match pattern '{SLUG_PATTERN}'")
    'takes lower-case letters, digits, - and _; at most 64, the first a letter or digit'
    """
    found = next((words for pattern, words in _PLAIN.items() if f"'{pattern}'" in message), message)
    return found.removeprefix("Value error, ")
