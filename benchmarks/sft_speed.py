"""Tokens a second of an `sft` stage beside TRL's SFTTrainer on the same rows: packed, float32, without recomputed
activations, and with TRL's defaults. Prints Markdown.

    python benchmarks/sft_speed.py [--rows 96] [--batch 4] [--threads 2] [--rounds 2]

A model of 20 million parameters, on the CPU; rows of log-normal lengths up to 2,048 tokens (median 400). All ways train
on the same rows, take --batch sequences a pass (packed into 2,048 tokens) or that many rows (TRL's defaults, which pack
nothing and recompute activations), and are counted by the tokens of rows, padding left out. Timed from the end of the
first step to the end of the last, so that loading and saving are left out; the best of --rounds, the ways in turn.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LENGTH = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 96), ("batch", 4), ("threads", 2), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), options.rows, options.batch)
        ways: dict[str, Callable[[], None]] = {
            "`sft` stage": world.stage,
            "SFTTrainer, packed, activations kept": lambda: world.peer(packing=True, gradient_checkpointing=False),
            "SFTTrainer, its defaults in float32": lambda: world.peer(),
        }
        best: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, train in ways.items():
                best[name] = max(best.get(name, 0.0), world.tokens_a_second(train))
    ours = best["`sft` stage"]
    print(f"{options.rows} rows, {world.tokens} tokens, {options.threads} threads, best of {options.rounds}\n")
    print("| way | tokens/s | `sft` stage beside it |\n|---|---|---|")
    for name, speed in best.items():
        print(f"| {name} | {speed:.0f} | {ours / speed:.2f} |")


class Clock:
    """When each step of a Trainer ended, and how many tokens it had seen."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.tokens: list[int] = []

    def watch(self, trainer: Any) -> None:
        from transformers import TrainerCallback

        clock, seen = self, 0
        step = trainer.training_step

        def training_step(model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            nonlocal seen
            mask = inputs.get("attention_mask")
            seen += int(mask.sum()) if mask is not None else inputs["input_ids"].numel()
            return step(model, inputs, *given, **named)

        class Ends(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *_: Any, **__: Any) -> None:
                clock.ends.append(time.perf_counter())
                clock.tokens.append(seen)

        trainer.training_step = training_step
        trainer.add_callback(Ends())

    @property
    def tokens_a_second(self) -> float:
        return (self.tokens[-1] - self.tokens[0]) / (self.ends[-1] - self.ends[0])


class World:
    """The model, the rows, and the ways to train on them."""

    def __init__(self, folder: Path, rows: int, batch: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, Qwen3Config

        from posttrain.data.template import ChatTemplate
        from posttrain.recipe.schema import Chat
        from posttrain.rollout.tiny import _byte_tokenizer

        self.folder, self.batch = folder, batch
        self.chat = Chat(template="chatml_think", stop=["<|im_end|>"])
        self.model = folder / "model"
        config = Qwen3Config(
            vocab_size=16_384, hidden_size=384, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=6,
            num_key_value_heads=2, head_dim=64, max_position_embeddings=LENGTH,
        )  # fmt: skip
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(self.model)
        _byte_tokenizer().save_pretrained(self.model)
        draw = random.Random(0)
        self.rows = []
        for number in range(rows):
            size = min(LENGTH - 64, max(16, int(400 * draw.lognormvariate(0.0, 0.8))))
            answer = "".join(draw.choice("abcdefgh 0123456789") for _ in range(size))
            self.rows.append({"prompt": f"row {number}?", "completion": f"<think>{answer[:8]}</think>{answer[8:]}"})
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        (folder / "card.md").write_text("---\nlicense: mit\n---\n")
        template = ChatTemplate.load(self.model, self.chat)
        texts = [
            template.prompt_text([{"role": "user", "content": row["prompt"]}]) + row["completion"] + "<|im_end|>"
            for row in self.rows
        ]
        self.ids = [template.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        self.tokens = sum(map(len, self.ids))

    def tokens_a_second(self, train: Callable[[], None]) -> float:
        import trl

        clock, start = Clock(), trl.SFTTrainer.__init__

        def watched(trainer: Any, *given: Any, **named: Any) -> None:
            start(trainer, *given, **named)
            clock.watch(trainer)

        trl.SFTTrainer.__init__ = watched
        try:
            train()
        finally:
            trl.SFTTrainer.__init__ = start
        return clock.tokens_a_second

    def stage(self) -> None:
        from dataclasses import replace

        from posttrain.recipe.schema import FileData, Sft
        from posttrain.train import sft
        from posttrain.train.job import Job
        from posttrain.train.tokens import make_tokens

        stage = Sft.model_validate({
            "kind": "sft", "name": "warm", "data": {"rows": 1.0}, "epochs": 1, "batch_size": self.batch,
            "micro_batch_size": self.batch, "max_tokens": LENGTH, "packing": True, "gradient_checkpointing": False,
            "save_every": 10_000,
        })  # fmt: skip
        place = Path(tempfile.mkdtemp(dir=self.folder))
        for name in ("output", "tokens", "attempt", "tokens-attempt"):
            (place / name).mkdir()
        data = {"rows": FileData.model_validate({"source": "jsonl", "path": "rows.jsonl", "card": "card.md"})}
        job = Job(
            stage=stage, step_name="warm", owner="owner", model=self.model, chat=self.chat, data=data,
            recipe_dir=self.folder, attempt=place / "tokens-attempt", output=place / "tokens", seed=5,
            stop_file=place / "stop",
        )  # fmt: skip
        make_tokens(job, ())
        sft.train(replace(job, attempt=place / "attempt", output=place / "output", inputs={"tokens": place / "tokens"}))
        shutil.rmtree(place)

    def peer(self, **changes: Any) -> None:
        import datasets
        from transformers import AutoTokenizer
        from trl import SFTConfig, SFTTrainer

        from posttrain.train.model import load_model

        settings = SFTConfig(
            output_dir=str(self.folder / "trl"), num_train_epochs=1, per_device_train_batch_size=self.batch,
            max_length=LENGTH, report_to="none", save_strategy="no", use_cpu=True, bf16=False, disable_tqdm=True,
            **changes,
        )  # fmt: skip
        trainer = SFTTrainer(
            model=load_model(self.model),
            args=settings,
            train_dataset=datasets.Dataset.from_dict({"input_ids": self.ids}),
            processing_class=AutoTokenizer.from_pretrained(self.model),
        )
        trainer.train()


if __name__ == "__main__":
    main()
