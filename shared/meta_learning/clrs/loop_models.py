"""The models of a loop by the part they play, and how they are saved: each version once, whatever parts it plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Model
from meta_learning.errors import WorldError
from meta_learning.registry import digest_of

ROLES = ("candidate", "champion", "challenger", "shadow", "control", "beginner")


def version_of(model: Model) -> str:
    """What ``model`` says its version is.

    Raises:
        WorldError: it raised: a model of your own may do anything, and nothing was changed yet.
    """
    try:
        return model.version()
    except Exception as error:
        raise WorldError(f"the model cannot say its version: {type(error).__name__}: {error}") from error


def dumped(model: Model) -> bytes:
    """The bytes of ``model``.

    Raises:
        WorldError: it raised; nothing was changed.
    """
    try:
        return model.dump()
    except Exception as error:
        raise WorldError(f"the model cannot be dumped: {type(error).__name__}: {error}") from error


@dataclass(slots=True)
class LoopModels:
    """``candidate`` learns; ``champion`` answers; the rest are versions of the candidate, frozen.

    ``challenger`` waits for more evidence; ``shadow`` was champion before the one that is baking; ``control`` is the control arm;
    ``beginner`` learns beside the candidate after an alarm, and is no version of it.
    No model is changed in place (learning takes a copy), so one object may play many parts.
    """

    candidate: Model
    champion: Model | None = None
    challenger: Model | None = None
    shadow: Model | None = None
    control: Model | None = None
    beginner: Model | None = None
    known: dict[str, str] = field(default_factory=dict)  # version -> digest of its blob, for what was dumped or loaded
    dumped: dict[str, bytes] = field(
        default_factory=dict
    )  # the champion's bytes, if they were asked for since the last save

    @property
    def judged(self) -> Model:
        """The version that the gates judge now."""
        return self.challenger if self.challenger is not None else self.candidate

    def parts(self) -> dict[str, Model]:
        """The parts that are played now."""
        played = {role: getattr(self, role) for role in ROLES}
        return {role: model for role, model in played.items() if model is not None}

    def names(self) -> dict[str, str]:
        """The version in each part.

        Raises:
            WorldError: a model of your own cannot say its version.
        """
        return {role: version_of(model) for role, model in self.parts().items()}

    def champion_blob(self) -> bytes | None:
        """The champion's bytes, dumped once however often they are asked for."""
        if self.champion is None:
            return None
        version = version_of(self.champion)
        if version not in self.dumped:
            self.dumped = {version: dumped(self.champion)}
        return self.dumped[version]

    def save(self) -> tuple[dict[str, str], dict[str, str], dict[str, bytes]]:
        """The version in each part, the digest of each version, and the bytes of those that were not saved before."""
        blobs: dict[str, bytes] = {}
        digests: dict[str, str] = {}
        names = self.names()
        for role, model in self.parts().items():
            version = names[role]
            if version in digests:
                continue
            if version in self.known:
                digests[version] = self.known[version]
                continue
            blob = self.dumped[version] if version in self.dumped else dumped(model)
            digests[version] = digest_of(blob)
            blobs[digests[version]] = blob
        # Only now: had one of them raised, what was dumped before it must be dumped again.
        self.known, self.dumped = dict(digests), {}
        return names, digests, blobs

    @classmethod
    def load(
        cls,
        versions: Mapping[str, str],
        digests: Mapping[str, str],
        get_blob: Callable[[str], bytes],
        load: Callable[[bytes], Model] = load_model,
    ) -> Self:
        """Read `save` back.

        Raises:
            KeyError: a part's version has no digest.
        """
        loaded: dict[str, Model] = {}
        for role in ROLES:
            if role in versions and versions[role] not in loaded:
                first = next(iter(loaded.values()), None)
                blob = get_blob(digests[versions[role]])
                loaded[versions[role]] = load_model(blob, like=first) if load is load_model else load(blob)
        played = cls(loaded[versions["candidate"]], known=dict(digests))
        for role, version in versions.items():
            setattr(played, role, loaded[version])
        return played
