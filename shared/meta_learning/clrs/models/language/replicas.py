"""Data-parallel training: every process holds the same model, works on its share of the rows, and adds its numbers up.

Start the processes with any launcher that sets up `torch.distributed` (``torchrun --nproc-per-node 2 program.py``, or
`accelerate launch`); each calls ``torch.distributed.init_process_group`` and gives its model `JoinedReplicas`. All processes
must make the same calls in the same order with the same rows. Adapters are small, so gradients travel as one vector.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from meta_learning.clrs.models.extras import needed
from meta_learning.errors import ConfigurationError

Tensor: TypeAlias = Any


class Replicas(Protocol):
    """Who works on which rows, and how their numbers are added up."""

    rank: int
    count: int

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of ``numbers`` over all replicas, the same bits in each."""


class Alone:
    """One process: its share is everything.

    >>> Alone().total(3)
    3
    """

    rank, count = 0, 1

    def total(self, numbers: Tensor) -> Tensor:
        """``numbers`` themselves."""
        return numbers


class JoinedReplicas:
    """The processes of the default group of `torch.distributed` (gloo on CPUs, nccl on GPUs).

    Raises:
        ConfigurationError: the group was not set up.
    """

    def __init__(self) -> None:
        self._distributed = needed("torch.distributed", "torch")
        if not self._distributed.is_initialized():
            raise ConfigurationError("no process group: start with torchrun and call init_process_group first")
        self.rank, self.count = int(self._distributed.get_rank()), int(self._distributed.get_world_size())

    def total(self, numbers: Tensor) -> Tensor:
        """The sum over the group."""
        result = numbers.clone()
        self._distributed.all_reduce(result)
        return result
