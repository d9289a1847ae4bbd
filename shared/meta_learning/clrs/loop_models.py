"""The models of a loop by the part they play, and how they are saved: each version once, whatever parts it plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Model
from meta_learning.registry import digest_of

ROLES = ("candidate", "champion", "challenger", "shadow", "control")


@dataclass(slots=True)
class LoopModels:
    """``candidate`` learns; ``champion`` answers; the rest are versions of the candidate, frozen.

    ``challenger`` waits for more evidence; ``shadow`` was champion before the one that is baking; ``control`` is the control arm.
    No model is changed in place (learning takes a copy), so one object may play many parts.
    """

    candidate: Model
    champion: Model | None = None
    challenger: Model | None = None
    shadow: Model | None = None
    control: Model | None = None
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

    def champion_blob(self) -> bytes | None:
        """The champion's bytes, dumped once however often they are asked for."""
        if self.champion is None:
            return None
        version = self.champion.version()
        if version not in self.dumped:
            self.dumped = {version: self.champion.dump()}
        return self.dumped[version]

    def save(self) -> tuple[dict[str, str], dict[str, str], dict[str, bytes]]:
        """The version in each part, the digest of each version, and the bytes of those that were not saved before."""
        blobs: dict[str, bytes] = {}
        digests: dict[str, str] = {}
        for model in self.parts().values():
            version = model.version()
            if version not in self.known:
                blob = self.dumped[version] if version in self.dumped else model.dump()
                self.known[version] = digest_of(blob)
                blobs[self.known[version]] = blob
            digests[version] = self.known[version]
        self.known, self.dumped = dict(digests), {}
        return {role: model.version() for role, model in self.parts().items()}, digests, blobs

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
