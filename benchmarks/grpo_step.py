"""A GRPO step, the sampling and the hand-over of weights in it, beside TRL's GRPOTrainer with `generate`. Prints
Markdown.

    python benchmarks/grpo_step.py [--shapes 3M 20M] [--prompts 16] [--group 16] [--tokens 128] [--micro 16] [--steps 4]

Random weights, in float32 on the CPU and with bfloat16 compute on a GPU where there is one (the shape 4B is for those):
nearly every answer runs to --tokens. Both have vLLM or `generate` as they ship,
the same prompts and rewards, passes of --micro answers, no recomputed activations, one update a step, and all threads.
Timed from the end of the first step to the end of the last; a hand-over has the check of what arrived inside. The two
are measured in processes of their own, one after the other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# width, layers, vocabulary, heads of keys and values
SHAPES = {"3M": (192, 4, 4096, 1), "20M": (384, 8, 16_384, 2), "4B": (2560, 44, 166_144, 8)}
STOP = "<|im_end|>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["3M", "20M"])
    for name, value in (("prompts", 16), ("group", 16), ("tokens", 128), ("micro", 16), ("steps", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--way", choices=("ours", "trl"), help="Measure one way alone and print JSON.")
    options = parser.parse_args()
    if options.way:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(World(Path(folder), options).measured()))
        return
    print("| shape | GRPO step, s | TRL | ratio | its sampling, s | TRL | ratio | hand-over of weights, % of a step |")
    print("|---|---|---|---|---|---|---|---|")
    for shape in options.shapes:
        ours, peer = (_in_a_process(way, shape) for way in ("ours", "trl"))
        cells = " | ".join(
            f"{ours[part]:.1f} | {peer[part]:.1f} | {peer[part] / ours[part]:.2f}" for part in ("step", "sampling")
        )
        print(f"| {shape} | {cells} | {100 * ours['hand-over'] / ours['step']:.1f} |", flush=True)


def _in_a_process(way: str, shape: str) -> dict[str, float]:
    given = [*sys.argv[1:], "--way", way, "--shapes", shape]
    done = subprocess.run([sys.executable, __file__, *given], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


class Clock:
    """Seconds of the steps and of named parts of them, the first step left out."""

    def __init__(self) -> None:
        self.ends: list[dict[str, float]] = []  # seconds of each part until the end of each step
        self._spent = {"sampling": 0.0, "hand-over": 0.0}

    def part(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self._spent[name] += time.perf_counter() - start

        return timed

    def watch(self, trainer: Any) -> None:
        from transformers import TrainerCallback

        clock = self

        class Ends(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *_: Any, **__: Any) -> None:
                clock.ends.append({"step": time.perf_counter(), **clock._spent})

        trainer.add_callback(Ends())

    @property
    def seconds(self) -> dict[str, float]:
        first, last = self.ends[0], self.ends[-1]
        return {name: (last[name] - first[name]) / (len(self.ends) - 1) for name in first}


class Parity:
    """A scorer: an answer of odd length is right."""

    def score(self, verifier: str, groups: Sequence[Any]) -> list[Any]:
        return [replace(made, verdicts=tuple(self.verdict(one.text) for one in made.completions)) for made in groups]

    def verdict(self, text: str) -> Any:
        from rewards.types import Outcome, Verdict

        odd = len(text) % 2
        return Verdict(outcome=Outcome.CORRECT if odd else Outcome.WRONG, score=float(odd))


class World:
    """The model and the prompts, and both ways to take the steps."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        import torch
        from transformers import AutoModelForCausalLM, Qwen3Config

        from posttrain.recipe.schema import Chat
        from posttrain.rollout.tiny import _byte_tokenizer

        self.folder, self.options = folder, options
        self.model, self.chat = folder / "model", Chat(template="chatml_think", stop=[STOP])
        width, layers, vocabulary, kv_heads = SHAPES[options.shapes[0]]
        config = Qwen3Config(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=8 * width // 3, num_hidden_layers=layers,
            num_attention_heads=width // 64, num_key_value_heads=kv_heads, head_dim=64,
            max_position_embeddings=512,
        )  # fmt: skip
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(self.model)
        _byte_tokenizer().save_pretrained(self.model)
        self.questions = [f"What is {number} plus {number + 3}?" for number in range(options.prompts)]

    def measured(self) -> dict[str, float]:
        clock = Clock()
        {"ours": self.ours, "trl": self.trl}[self.options.way](clock)
        return clock.seconds

    def ours(self, clock: Clock) -> None:
        from posttrain.recipe.schema import Grpo
        from posttrain.rollout.engine import EngineOptions
        from posttrain.rollout.vllm_engine import VllmEngine
        from posttrain.sampling.job import PromptMixture, RolloutSource
        from posttrain.train import policy
        from posttrain.train.following import Follower
        from posttrain.train.job import Job
        from posttrain.types import Prompt

        engine = VllmEngine(str(self.model), "start", EngineOptions(context_tokens=256))
        for name in ("generate", "advance"):
            setattr(engine, name, clock.part("sampling", getattr(engine, name)))
        stage = Grpo.model_validate({
            "kind": "grpo", "name": "rl", "prompts": "questions", "verifier": "parity", "filter": None,
            "group": self.options.group, "prompts_per_step": self.options.prompts, "steps": self.options.steps,
            "micro_batch_size": self.options.micro, "max_tokens": self.options.tokens, "mask_truncated": False,
            "gradient_checkpointing": False, "save_every": 10_000, "learning_rate": 1e-6,
        })  # fmt: skip
        (self.folder / "attempt").mkdir()
        (self.folder / "output").mkdir()
        job = Job(
            stage=stage, step_name="rl", owner="owner", model=self.model, chat=self.chat, data={},
            recipe_dir=self.folder, attempt=self.folder / "attempt", output=self.folder / "output", seed=5,
            stop_file=self.folder / "stop",
        )  # fmt: skip
        mixture = PromptMixture(
            weights={"questions": 1.0}, data={}, recipe_dir=self.folder, verifier="parity", seed=5, context_tokens=256
        )
        kept = tuple(
            Prompt(id=str(number), source="questions", messages=({"role": "user", "content": text},), gold="")
            for number, text in enumerate(self.questions)
        )
        Follower.follow = clock.part("hand-over", Follower.follow)  # type: ignore[method-assign]
        start = policy.PolicyTrainer.__init__

        def watched(trainer: Any, *given: Any, **named: Any) -> None:
            start(trainer, *given, **named)
            clock.watch(trainer)

        policy.PolicyTrainer.__init__ = watched  # type: ignore[method-assign, assignment]
        policy.train(job, RolloutSource(engine=engine, scorer=Parity(), prompts=mixture, kept=kept, tolerance=1e-3))

    def trl(self, clock: Clock) -> None:
        import datasets
        import torch
        from transformers import AutoTokenizer
        from trl import GRPOConfig, GRPOTrainer

        from posttrain.data.template import ChatTemplate
        from posttrain.train.model import load_model

        template = ChatTemplate.load(self.model, self.chat)
        texts = [template.prompt_text([{"role": "user", "content": text}]) for text in self.questions]
        answers, on_gpu = self.options.prompts * self.options.group, torch.cuda.is_available()
        settings = GRPOConfig(
            output_dir=str(self.folder / "trl"), max_steps=self.options.steps, report_to="none", save_strategy="no",
            use_cpu=not on_gpu, bf16=on_gpu, disable_tqdm=True, gradient_checkpointing=False, learning_rate=1e-6,
            per_device_train_batch_size=self.options.micro, gradient_accumulation_steps=answers // self.options.micro,
            num_generations=self.options.group, max_completion_length=self.options.tokens,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=load_model(self.model),
            reward_funcs=lambda completions, **_: [float(len(text) % 2) for text in completions],
            args=settings,
            train_dataset=datasets.Dataset.from_dict({"prompt": texts}),
            processing_class=AutoTokenizer.from_pretrained(self.model, padding_side="left"),
        )
        trainer._generate = clock.part("sampling", trainer._generate)
        clock.watch(trainer)
        trainer.train()


if __name__ == "__main__":
    main()
