"""Checkpoints of training: written beside it, a share by each worker, and taken up by any number of workers, sharded or
not.

    step N ends ─ all workers copy to host memory ─ step N + 1, N + 2, ...
                                             └ a thread each: write the shares, hash them ─ the first seals the folder

The weights that are trained and AdamW's moments are one state under the parameters' names, in the format of
torch.distributed.checkpoint, which cuts it anew for who reads it. Beside it lie the Trainer's own small files: its
state, the schedule, each worker's random numbers. `OwnCheckpoints` puts this in the place of the Trainer's saving and
loading, which wait for the disk and know one layout each; that takes overriding three of its private methods. Knows
nothing of losses.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter, load, save
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from transformers import Trainer

from posttrain.errors import Stopped
from posttrain.machine.ranks import is_first_rank, rank, world_size
from posttrain.store.checkpoints import SEAL, digests, read_seal, write_seal
from posttrain.store.digests import walk_files
from posttrain.store.failpoints import failpoint
from posttrain.train.sharding import is_sharded, names_of

SHARES = "shares"  # of weights and optimiser, in a checkpoint's folder
SCHEDULE, STATE = "scheduler.pt", "trainer_state.json"  # as the Trainer calls them
KEEP = 2
PATIENCE_SECONDS = 120.0  # for a checkpoint under way, once the training has failed
_A_SLOW_DISK = datetime.timedelta(days=1)


class Writer:
    """Writes one checkpoint at a time in a thread. Made by all workers together, as it opens a line of its own between
    them."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder, self.owner = folder, owner
        self.last: int | None = None
        self._line: Any = None
        if world_size() > 1:
            self._line = torch.distributed.new_group(backend="gloo", timeout=_A_SLOW_DISK)
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None

    def begin(self, step: int, state: dict[str, Any], small_files: Callable[[Path], None]) -> None:
        """Copy the state, and go on writing it while the caller trains. Waits for the checkpoint before this one. All
        workers must call it; small_files: writes what is small and needs no copy."""
        self.wait()
        failpoint("train.checkpoint.before")
        path = self.folder / f"checkpoint-{step}"
        if is_first_rank() and path.exists():
            shutil.rmtree(path)  # a save at the same step that was not finished
        self._barrier()
        path.mkdir(parents=True, exist_ok=True)
        small_files(path)
        _know_that_it_is_one_process()
        stager = DefaultStager(StagingOptions(False, False, False, False))
        copy = stager.stage(state)
        stager.close()
        self.last = step
        self._thread = threading.Thread(target=self._write, args=(path, step, copy), daemon=True, name="checkpoint")
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Until nothing is under way, or so many seconds. Raises what writing it raised."""
        if self._thread is not None:
            self._thread.join(seconds)
            self._thread = None
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed

    def _write(self, path: Path, step: int, state: dict[str, Any]) -> None:
        try:
            writer = FileSystemWriter(path / SHARES)
            save(state, storage_writer=writer, process_group=self._line, no_dist=self._line is None)
            failpoint("train.checkpoint.written")
            self._seal(path, step)
        except BaseException as error:  # noqa: BLE001 - raised where the training waits for it
            self._failed = error

    def _seal(self, path: Path, step: int) -> None:
        """Each worker hashes what it wrote; the first seals the folder once all have, and removes old ones."""
        self._barrier()  # the first has written the metadata, and all their random numbers
        mine = digests(path, [name for name, _ in walk_files(path) if writer_of(name) == rank()])
        found: list[Any] = [mine]
        if self._line is not None:
            found = [None] * world_size()
            torch.distributed.gather_object(mine, found if is_first_rank() else None, dst=0, group=self._line)
        if is_first_rank():
            whole = {name: record for part in found for name, record in part.items()}
            write_seal(path, step=step, owner=self.owner, files=whole)
            _rotate(self.folder, keep=KEEP)
        failpoint("train.checkpoint.sealed")
        self._barrier()

    def _barrier(self) -> None:
        if self._line is not None:
            torch.distributed.barrier(group=self._line)


def writer_of(name: str) -> int:
    """The worker that wrote a file: "shares/__3_0.distcp" and "rng_state_3.pth" are of the fourth, others of the
    first."""
    stem = name.rpartition("/")[2].partition(".")[0]
    for start, part in (("__", 2), ("rng_state_", 2)):
        number = stem.split("_")[part] if stem.startswith(start) else ""
        if number.isdigit():
            return int(number)
    return 0


def _rotate(folder: Path, keep: int) -> None:
    """Remove all but the newest sealed checkpoints; the seal goes first, so that half of one is never taken for a
    whole."""
    sealed = sorted(
        (path for path in folder.glob("checkpoint-*") if read_seal(path)), key=lambda path: int(path.name.split("-")[1])
    )
    for old in sealed[:-keep]:
        (old / SEAL).unlink()
        failpoint("train.checkpoint.rotating")
        shutil.rmtree(old)


class OwnCheckpoints(Trainer):
    """A Trainer that saves and resumes by this module."""

    writer: Writer

    def train_and_settle(self, resume: Path | None, owner: str) -> None:
        """Train, from a checkpoint or the start; afterwards no checkpoint is under way, also where it fails. owner:
        the step's id, which seals carry."""
        self.writer = Writer(Path(self.args.output_dir), owner)
        try:
            self.train(resume_from_checkpoint=None if resume is None else str(resume))
        except Stopped:
            self.writer.wait()
            raise
        except Exception:
            # Bounded: another worker may have failed before it began this checkpoint.
            with contextlib.suppress(Exception):
                self.writer.wait(PATIENCE_SECONDS)
            raise
        self.writer.wait()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        state = {"model": weights(self.model), "optimizer": moments(self.model, self.optimizer)}
        mine = _share_of(state["model"]) if world_size() > 1 and not is_sharded(self.model) else state["model"].keys()
        state = {part: {name: found[name] for name in found if name in mine} for part, found in state.items()}
        self.writer.begin(self.state.global_step, state, self._write_small)

    def _write_small(self, folder: Path) -> None:
        self._save_rng_state(str(folder))
        if is_first_rank():
            torch.save(self.lr_scheduler.state_dict(), folder / SCHEDULE)
            self.state.save_to_json(str(folder / STATE))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.model if model is None else model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        load_moments(self.model, self.optimizer, Path(checkpoint))
        # numbers alone, of a folder whose digests were right
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULE, weights_only=True))
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate


# ---------------------------------------------------------------- the state


def _share_of(whole: Mapping[str, torch.Tensor]) -> set[str]:
    """Of what every worker has a copy of, the names that this one writes: about as many numbers each."""
    by_size = sorted(whole, key=lambda name: (-whole[name].numel(), name))
    return set(by_size[rank() :: world_size()])


def weights(model: Any) -> dict[str, torch.Tensor]:
    """The parameters that are trained, by the names that they have in the bare model; what is not trained is the
    start's. They share their memory with the model."""
    return {name: one.detach() for name, one in names_of(model) if one.requires_grad}


def moments(model: Any, optimizer: Any) -> dict[str, dict[str, torch.Tensor]]:
    """What the optimiser knows of each parameter: {"layers.0.weight": {"step": ..., "exp_avg": ..., ...}}. Nothing of
    one that never had a gradient."""
    held = optimizer.state
    return {name: dict(held[one]) for name, one in names_of(model) if one.requires_grad and one in held}


def load_weights(model: Any, checkpoint: Path) -> None:
    """Put a checkpoint's weights into the model, in place. Each worker reads what it needs."""
    _load({"model": weights(model)}, checkpoint)


def load_moments(model: Any, optimizer: Any, checkpoint: Path) -> None:
    """Put a checkpoint's moments into a fresh optimiser."""
    taken = [one for group in optimizer.param_groups for one in group["params"]]
    numbers = {id(one): number for number, one in enumerate(taken)}
    known = _known(checkpoint)
    state: dict[str, dict[str, torch.Tensor]] = {}
    places: dict[str, int] = {}
    for name, one in names_of(model):
        if (keys := known.get(name)) is not None:
            state[name] = {key: _empty(key, one) for key in keys}
            places[name] = numbers[id(one)]
    _load({"optimizer": state}, checkpoint)
    whole = {"state": {places[name]: state[name] for name in state}}
    optimizer.load_state_dict({**whole, "param_groups": optimizer.state_dict()["param_groups"]})


def _known(checkpoint: Path) -> dict[str, list[str]]:
    """Of which parameters it has moments, and which: {"layers.0.weight": ["step", "exp_avg", "exp_avg_sq"]}."""
    found: dict[str, list[str]] = {}
    for whole in FileSystemReader(checkpoint / SHARES).read_metadata().state_dict_metadata:
        if whole.startswith("optimizer."):
            name, _, key = whole.removeprefix("optimizer.").rpartition(".")
            found.setdefault(name, []).append(key)
    return found


def _empty(key: str, parameter: torch.Tensor) -> torch.Tensor:
    if key == "step":
        return torch.zeros((), dtype=torch.float32)
    return torch.zeros_like(parameter.detach())


def _load(state: dict[str, Any], checkpoint: Path) -> None:
    _know_that_it_is_one_process()
    load(state, storage_reader=FileSystemReader(checkpoint / SHARES), no_dist=True)


def _know_that_it_is_one_process() -> None:
    """torch.distributed.checkpoint warns of it. Not in a block of its own: one thread's would end another's."""
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")
