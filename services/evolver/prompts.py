"""A loop's prompt in the store: read what is current, keep what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_learning.errors import NotFound
from meta_learning.registry import Store
from meta_learning.registry.prompts import PromptContent, prompt_blob, read_prompt
from meta_learning.registry.versions import Manifest, made_here, manifest_of, publish

POINTER = "prompt"
DEFAULT_PROMPTS = {
    "sentiment140": "Decide whether the tweet is positive or negative. Answer with one word: positive or negative.",
    "commonsense_qa": "Choose the best answer to the question. Answer with the letter of the choice only.",
    "feedback": "Answer the user helpfully, correctly and briefly.",
}


def content_of(store: Store, manifest_digest: str) -> PromptContent | None:
    """A prompt version; None when the store has lost it, so that a run can still start from a plain one."""
    try:
        return read_prompt(store.get(manifest_of(store, manifest_digest).content))
    except NotFound:
        return None


def version_of(store: Store, manifest_digest: str | None) -> str | None:
    """The name of a version, None for none or for one that the store has lost."""
    try:
        return manifest_of(store, manifest_digest).version if manifest_digest else None
    except NotFound:
        return None


def keep(
    store: Store, loop: str, prompt: PromptContent, parent: str | None, numbers: Mapping[str, Any]
) -> tuple[str, str]:
    """Write the prompt and its manifest; (version, digest of the manifest). Keeping it twice is harmless.

    >>> from meta_learning.registry.store import MemoryStore
    >>> store = MemoryStore()
    >>> version, digest = keep(store, "support", PromptContent(text="Be kind."), None, {})
    >>> content_of(store, digest).text, version_of(store, digest) == version
    ('Be kind.', True)
    """
    content = store.put(prompt_blob(prompt.text, prompt.blocks, prompt.voters))
    manifest = Manifest(
        kind="prompt",
        loop=loop,
        version=content[:16],
        content=content,
        parent=parent,
        numbers=dict(numbers),
        made_with=made_here(),
    )
    return manifest.version, publish(store, manifest)
