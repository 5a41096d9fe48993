"""A tiny checkpoint, rows for it, and a Job for each kind of training: the trainers run here in this process, on the
CPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.recipe.schema import Chat, FileData, Sft
from posttrain.store.checkpoints import newest_good
from posttrain.train.job import Job

CHAT = Chat(template="chatml_think", stop=["<|im_end|>"])
CARD = "---\nlicense: mit\n---\n"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The order of sums depends on the number of threads, and other work shares the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_logits() -> Iterator[list[int]]:
    """Fails a test whose training projects whole batches through the output head, by which [tokens, vocabulary] logits
    with a graph come to be. The few tokens that prove a head, and engines, run without gradients. Gives what it saw."""
    from posttrain.rollout.tiny import SPECIAL

    seen: list[int] = []

    def look(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if getattr(module, "out_features", 0) == 256 + len(SPECIAL) and torch.is_grad_enabled():
            seen.append(inputs[0].shape[:-1].numel())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    yield seen
    handle.remove()
    assert not seen, f"the output head was given {max(seen)} positions at once"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny(architecture=..., seed=...) -> folder, made once for each set of arguments."""
    from posttrain.rollout.tiny import tiny_model

    made: dict[str, Path] = {}

    def make(**options: Any) -> Path:
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = tiny_model(tmp_path_factory.mktemp("tiny") / "model", **{"sharpness": 1.0, **options})
        return made[key]

    return make


def write_rows(path: Path, rows: list[dict[str, Any]]) -> FileData:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return FileData.model_validate({"source": "jsonl", "path": path.name, "card": "card.md"})


class Jobs:
    """Makes jobs below one folder: each with an attempt and an output of its own, all with the same owner and seed."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.attempts: list[Path] = []

    def make(self, stage: Any, data: Mapping[str, Any] | None = None, *, resume: bool = False, **changes: Any) -> Job:
        """resume: from the newest good checkpoint of the job made before this one."""
        found = newest_good([self.attempts[-1] / "checkpoints"], owner="owner") if resume else None
        assert not resume or found is not None
        attempt = self.folder / f"attempt-{len(self.attempts) + 1}"
        self.attempts.append(attempt)
        values: dict[str, Any] = {
            "stage": stage,
            "step_name": stage.name,
            "owner": "owner",
            "model": self.model,
            "chat": CHAT,
            "data": dict(data or {}),
            "recipe_dir": self.folder,
            "attempt": attempt,
            "output": self.folder / f"output-{len(self.attempts)}",
            "seed": 5,
            "stop_file": self.folder / "stop",
            "resume": found,
        }
        job = Job(**(values | changes))
        return job if not isinstance(stage, Sft) or "tokens" in job.inputs else self.with_tokens(job)

    def with_tokens(self, job: Job) -> Job:
        """An sft's job with the tokens that it starts from."""
        from posttrain.train.tokens import make_tokens

        output = self.folder / f"tokens-{len(self.attempts)}"
        output.mkdir()
        attempt = self.folder / f"tokens-attempt-{len(self.attempts)}"
        make_tokens(replace(job, attempt=attempt, output=output, stop_file=self.folder / "no stop"), ())
        return replace(job, inputs={**job.inputs, "tokens": output})


@pytest.fixture(scope="session")
def student_engine(tiny: Callable[..., Path]) -> Any:
    """An engine in this process that follows a student."""
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.hf_engine import HfEngine
    from posttrain.sampling.job import FollowingEngine

    return FollowingEngine(engine=HfEngine(str(tiny()), "start", EngineOptions(context_tokens=96)), tolerance=1e-3)


@pytest.fixture
def jobs(tmp_path: Path, tiny: Callable[..., Path]) -> Jobs:
    return Jobs(tmp_path, tiny())


def metrics(job: Job) -> list[dict[str, float]]:
    return [json.loads(line) for line in (job.attempt / "metrics.jsonl").read_text().splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


class StopAfter:
    """Stands in for the stop file: exists from the n-th time on that somebody asks."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def exists(self) -> bool:
        self.left -= 1
        return self.left < 0

    def with_name(self, name: str) -> Path:
        return Path("/nowhere") / name
