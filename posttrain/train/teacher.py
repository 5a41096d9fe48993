"""Where a distillation has the teacher's token distributions from: the teacher itself beside the student, or what the
step `<name>.teacher_logprobs` wrote.

    frozen_model(folder, sharding, device)      a model that only answers: in its own dtype, sharded where it has to be
    LiveTeacher(model).of(rows, batch)          States before every token of the answers
    CachedTeacher(cache).of(rows, batch)        the same as SparseTargets

Knows no loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from posttrain.data.template import ChatTemplate
from posttrain.rollout.causal import load_causal
from posttrain.rollout.weights import read_config
from posttrain.train.compatibility import compare_vocabularies
from posttrain.train.hidden import open_head
from posttrain.train.job import Job
from posttrain.train.losses.head import States
from posttrain.train.losses.sparse import SparseTargets
from posttrain.train.pairs import PairRow, over_trained
from posttrain.train.sharding import shard_frozen, wants_shared_teacher
from posttrain.train.teacher_cache import Cache

HALVES = ("bfloat16", "float16")


class TeacherTargets(Protocol):
    """What a distillation step asks of its teacher."""

    def of(self, rows: Sequence[PairRow], batch: Mapping[str, torch.Tensor]) -> States | SparseTargets:
        """What the teacher says before the N answer tokens of a batch of these rows, in its order."""
        ...

    def join(self, device: Any) -> None:
        """Take part in a batch of the other workers; all of them are in `of` or here."""
        ...


def dtype_of(config: Mapping[str, Any], device: str) -> str:
    """What a frozen model computes in: the half precision that its checkpoint is stored in, else bfloat16; float32 on
    a CPU, whose half-precision kernels are slow and on some machines fatal."""
    if device == "cpu":
        return "float32"
    stored = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    return stored if stored in HALVES else "bfloat16"


def frozen_model(folder: Path, sharding: str, device: Any) -> Any:
    """The model on the device, its head opened. In the dtype that it is stored in, its file is mapped and not copied:
    the workers of a machine share the pages."""
    device = torch.device(device)
    model = load_causal(folder, dtype_of(read_config(folder), device.type)).eval().requires_grad_(False)
    model.config.use_cache = False
    if wants_shared_teacher(sharding, model):
        shard_frozen(model, device)
    else:
        model.to(device)
    return open_head(model)


def refuse_other_tokens(template: ChatTemplate, teacher: Path, job: Job) -> None:
    """Raises CheckpointError, with the first ids that differ, where the teacher's ids mean other tokens."""
    its = ChatTemplate.load(teacher, job.chat, job.recipe_dir).tokenizer.get_vocab()
    compare_vocabularies(template.tokenizer.get_vocab(), its, f"{job.step_name}: {teacher}")


class LiveTeacher:
    """The teacher in memory, one forward pass a batch."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def of(self, rows: Sequence[PairRow], batch: Mapping[str, torch.Tensor]) -> States:
        """Sharded, its head stays whole after the pass."""
        with torch.no_grad():
            states: States = over_trained(self.model, dict(batch), lambda states, _: states)
        return states

    def join(self, device: Any) -> None:
        """A pass over one token, by which a shared teacher's layers are gathered."""
        token = torch.zeros((1, 1), dtype=torch.long, device=device)
        with torch.no_grad():
            self.model(input_ids=token, attention_mask=torch.ones_like(token), over_hidden=lambda *_: None)


class CachedTeacher:
    """What the teacher said, from disk."""

    def __init__(self, cache: Cache, device: Any) -> None:
        self.cache, self.device = cache, device

    def of(self, rows: Sequence[PairRow], batch: Mapping[str, torch.Tensor]) -> SparseTargets:
        """Good answers, then bad ones, as in pair_batch."""
        answers = [(row, side) for side in (0, 1) for row in rows]
        return self.cache.read(answers).to(self.device)

    def join(self, device: Any) -> None:
        """Nobody waits for a file."""
