"""A trainer as it lives in its actor. Knows nothing of Ray, nor of what it runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from posttrain.errors import OutOfMemory


class TrainerWorker:
    """The object in a trainer actor: joins the group once, then runs the function it is given with its rank in the
    environment."""

    def __init__(self, rank: int, world: int, threads: int) -> None:
        import torch

        self._rank, self._world = rank, world
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Deterministic mode would also fill every fresh tensor; that is for finding reads of unset memory, and took a
        # third of an SFT step.
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.set_float32_matmul_precision("highest")

    def join(self, address: str, port: int) -> None:
        """Rank and address for accelerate and torch; a process group only where there is someone to talk to."""
        if self._world == 1:
            return
        import torch
        import torch.distributed

        os.environ |= {
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
            "RANK": str(self._rank),
            "WORLD_SIZE": str(self._world),
            "LOCAL_RANK": "0"
            if torch.cuda.is_available()
            else str(self._rank),  # Ray shows each actor its own GPU only
        }
        torch.distributed.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", rank=self._rank, world_size=self._world
        )

    def run(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The function's result on the first rank, None on the others: it need not travel. Raises OutOfMemory."""
        from posttrain.machine.out_of_memory import in_short, is_out_of_memory

        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            what = f"trainer {self._rank} of {self._world} ran out of memory ({in_short(error)})"
            raise OutOfMemory(what, remedy="lower micro_batch_size") from error
        finally:
            _free_unused()
        return result if self._rank == 0 else None


def _free_unused() -> None:
    """What a stage no longer needs of the GPU is for the engines on it."""
    import torch

    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
