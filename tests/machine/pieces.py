"""Objects that the tests of this folder start in actors."""

from __future__ import annotations

import os
import time
from typing import Any

from posttrain.errors import DataError


class Piece:
    def __init__(self, value: int = 0, pause: float = 0.0) -> None:
        time.sleep(pause)
        self.value = value

    def add(self, amount: int) -> int:
        return self.value + amount

    def wait(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def pid(self) -> int:
        return os.getpid()

    def environment(self, name: str) -> str | None:
        return os.environ.get(name)

    def refuse(self) -> None:
        raise DataError("row 7 is empty", where="rows.jsonl:7", remedy="fill it")

    def break_down(self) -> None:
        raise KeyError("lost")

    def die(self) -> None:
        os._exit(9)

    def ask(self, other: Any, amount: int) -> int:
        """Call a proxy from inside an actor."""
        return int(other.add(amount))

    def write_for_ever(self, path: str) -> None:
        while True:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{time.time()}\n")
            time.sleep(0.05)


def sum_of_ranks(extra: int) -> dict[str, Any]:
    """What each worker of a trainer group can see: an all-reduce of rank + 1."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        return {"world": 1, "sum": 1 + extra, "rank_in_environment": os.environ.get("RANK"), "pid": os.getpid()}
    value = torch.tensor([float(dist.get_rank() + 1)])
    dist.all_reduce(value)
    return {
        "world": dist.get_world_size(),
        "sum": int(value.item()) + extra,
        "rank_in_environment": os.environ.get("RANK"),
        "pid": os.getpid(),
        "threads": torch.get_num_threads(),
    }


def second_worker_fails() -> None:
    """Rank 1 raises while rank 0 waits for it in a collective."""
    import torch.distributed as dist

    if dist.get_rank() == 1:
        raise DataError("rank 1 cannot read its share")
    dist.barrier()


def hand_over_from_a_trainer(engine: Any, model_dir: str) -> tuple[float, str]:
    """A trainer changes weights and gives them to an engine in another actor."""
    import torch
    from transformers import AutoModelForCausalLM

    from posttrain.rollout.parity import hand_over

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    gap = hand_over(engine, model, "step-1", like=model_dir, tolerance=1e-4)
    return gap, engine.health().version
