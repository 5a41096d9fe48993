"""What the model that a stage starts from thinks of the answers: their summed log-probabilities, found once before the
first step by the very model that is about to be trained.

It is still the start then (a fresh LoRA adds nothing), on its device, in its dtype, sharded or not: no second copy, and
no rounding that the trained model has not. Each worker scores its share of the pairs. A resumed training is past its
start and takes the sums that stand beside the checkpoint.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posttrain.errors import StageError, Stopped
from posttrain.machine.ranks import is_first_rank, rank, world_size
from posttrain.signals.progress import tell
from posttrain.store.atomic import write_bytes
from posttrain.train.job import Job
from posttrain.train.losses.tiled import token_logprobs
from posttrain.train.pairs import PairRow, answer_sums, over_trained, pair_batch
from posttrain.train.trainer import chunks, global_max

FILE = "reference.npy"


def reference_sums(model: Any, rows: Sequence[PairRow], size: int, job: Job) -> dict[int, tuple[float, float]]:
    """Row number -> sums of the good and the bad answer, nats, on every worker; all must call it. size: pairs a
    forward pass. Raises Stopped, on all workers or on none."""
    found = _score(model, rows, size, job) if job.resume is None else _of_checkpoint(job.resume.path)
    if is_first_rank():
        with io.BytesIO() as out:
            np.save(out, found)
            write_bytes(job.attempt / FILE, out.getvalue(), point="reference")
    sums = {int(number): (chosen, rejected) for number, chosen, rejected in found.tolist()}
    missing = [row.name for row in rows if row.number not in sums]
    if missing:
        raise StageError(
            f"{len(missing)} pairs have no reference beside the checkpoint to resume from, the first of {missing[0]}",
            where=str(job.attempt / FILE),
            remedy="remove the step's attempts in the store to train it anew",
        )
    return sums


def _score(model: Any, rows: Sequence[PairRow], size: int, job: Job) -> Any:
    """[rows, 3]: number, and the two sums."""
    device = next(model.parameters()).device
    # As many pairs on every worker: a sharded model is gathered by all of them at once.
    share = math.ceil(len(rows) / world_size())
    mine = list(range(rank(), len(rows), world_size()))
    places = mine + [0] * (share - len(mine))
    found = torch.zeros((len(rows), 2), dtype=torch.float64, device=device)
    model.eval()
    with torch.no_grad():
        for part in chunks(places, size):
            if global_max(float(job.stop_file.exists()), device):
                raise Stopped("stopped on request", remedy="the same command continues")
            tell(job.stop_file, "reference", part[0], len(rows))
            batch = pair_batch([rows[place] for place in part], device)
            sums = answer_sums(over_trained(model, batch, token_logprobs), batch)
            found[list(part)] = sums.double().view(2, len(part)).t()
    if world_size() > 1:
        others = torch.ones(len(rows), dtype=torch.bool, device=device)
        others[mine] = False
        found[others] = 0.0
        torch.distributed.all_reduce(found)
    numbers = torch.tensor([row.number for row in rows], dtype=torch.float64)
    return torch.cat([numbers.unsqueeze(1), found.cpu()], dim=1).numpy()


def _of_checkpoint(checkpoint: Path) -> Any:
    path = checkpoint.parent.parent / FILE
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StageError(
            f"the reference of the checkpoint to resume from cannot be read: {error}",
            where=str(path),
            remedy="remove the step's attempts in the store to train it anew",
        ) from error
