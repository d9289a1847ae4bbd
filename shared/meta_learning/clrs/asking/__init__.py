"""Minimal feedback: which interactions are worth asking a user about, within a budget and with known probabilities."""

from meta_learning.clrs.asking.margin_sampling import Asked, Asker

__all__ = ["Asked", "Asker"]
