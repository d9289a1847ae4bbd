"""``evolve``: a better prompt for a data set, within a budget, or an honest no."""

from meta_learning.cli.evolve.command import evolve

__all__ = ["evolve"]
