"""A step of Dual-Level Preference Distillation beside what it stands for in TRL: a step of DPOTrainer, and TRL's
distillation loss on both given answers, one after the other. Prints Markdown.

    python benchmarks/dpd_step.py [--pairs 2] [--steps 4] [--vocabulary 8192] [--hidden 128] [--tokens 128]

float32 on one CPU thread; forward and backward of a step without the optimiser's update, processor time, the mean over
the steps, which see every pair once. Teacher and student are of one size, answers are given, pairs are padded to
log-normal lengths around --tokens. DPOTrainer keeps its defaults (reference beside the policy, activations recomputed)
but for float32; the second peer keeps activations, too. Ours: with the teacher in memory, the reference counted at one
pass a pair; with the reference on record, as in every pass after the first; and with both on disk. Also prints what the
cache costs and how far its KL is off, on distributions like a language model's.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # tests/train/test_sparse.py has the language-like distributions
PROMPT = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("pairs", 2), ("steps", 4), ("vocabulary", 8192), ("hidden", 128), ("tokens", 128)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), options)
        dpo, plain, divergence = (
            world.dpo(recompute=True),
            world.dpo(recompute=False),
            world.trl_distillation(),
        )
        live, first = world.ours(cache=None)
        cache = world.cache()
        both, _ = world.ours(cache=cache)
    rows = [
        ("teacher live, reference scored", live + first),
        ("teacher live, reference on record", live),
        ("both on disk", both),
    ]
    print(f"{options.pairs} pairs a step, answers of about {options.tokens} tokens, vocabulary {options.vocabulary}\n")
    print("| DPD step | s | TRL's two, defaults | ratio | TRL's two, activations kept | ratio |")
    print("|---|---|---|---|---|---|")
    for name, seconds in rows:
        peers = [one + divergence for one in (dpo, plain)]
        cells = " | ".join(f"{peer:.2f} | {peer / seconds:.2f}" for peer in peers)
        print(f"| {name} | {seconds:.2f} | {cells} |")
    print(f"\nTRL: DPO {dpo:.2f} s ({plain:.2f} with activations kept), distillation {divergence:.2f} s")
    print("\n| top_k | bytes a token | mass kept | forward KL off by |")
    print("|---|---|---|---|")
    for top_k in (32, 64, 128, 192, 255):
        print(language_like_row(top_k))


def language_like_row(top_k: int) -> str:
    """What the cache keeps of distributions of a language model's entropies."""
    from posttrain.train.losses.dpd import token_divergence
    from posttrain.train.losses.sparse import sparse_divergence
    from posttrain.train.teacher_cache import CacheFacts, pack, unpack
    from tests.train.test_sparse import language_like

    teacher, student = language_like(200, 32000)
    facts = CacheFacts(top_k=top_k, temperature=1.0, vocabulary=32000, pairs=1, pairs_a_shard=1)
    packed = pack(teacher, facts)
    targets = unpack(packed.headers, packed.entries, 32000)
    value, _ = sparse_divergence(student.log_softmax(dim=-1), targets, kind="forward_kl", jsd_beta=0.5)
    full = token_divergence(student, teacher, kind="forward_kl").mean()
    size = (packed.headers.nbytes + packed.entries.nbytes) / 200
    kept = 1.0 - float(targets.rest_N.exp().mean())
    return f"| {top_k} | {size:.0f} | {kept:.4f} | {100 * (float(value.mean() / full) - 1):.2f} % |"


class World:
    """Student, teacher and pairs; every method gives the seconds of a step."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        from posttrain.recipe.schema import Chat

        self.folder, self.options = folder, options
        self.chat = Chat(template="chatml_think", stop=["<|im_end|>"])
        self.student, self.teacher = (self._model(name, seed) for name, seed in (("student", 0), ("teacher", 1)))
        draw = random.Random(0)
        letters = "abcdefgh 0123456789"

        def text() -> str:
            length = max(8, int(options.tokens * draw.lognormvariate(0.0, 0.3)))
            return "".join(draw.choice(letters) for _ in range(length))

        self.rows: list[dict[str, Any]] = [
            {
                "id": str(number),
                "source": "random",
                "messages": [{"role": "user", "content": text()[:PROMPT]}],
                "chosen": text(),
                "rejected": text(),
                "provenance": {},
            }
            for number in range(options.pairs * options.steps)
        ]
        (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def _model(self, name: str, seed: int) -> Path:
        import torch
        from transformers import AutoModelForCausalLM, Qwen3Config

        from posttrain.rollout.tiny import _byte_tokenizer

        config = Qwen3Config(
            vocab_size=self.options.vocabulary,
            hidden_size=self.options.hidden,
            intermediate_size=3 * self.options.hidden,
            num_hidden_layers=4,
            num_attention_heads=max(1, self.options.hidden // 64),
            num_key_value_heads=max(1, self.options.hidden // 128),
            head_dim=64,
            tie_word_embeddings=False,
        )
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.get_output_embeddings().weight.data.mul_(4.0)
        model.save_pretrained(self.folder / name)
        _byte_tokenizer().save_pretrained(self.folder / name)
        return self.folder / name

    def _stage(self, **changes: Any) -> Any:
        from posttrain.recipe.schema import Dpd

        keys = {"kind": "dpd", "name": "distil", "prompts": "q", "verifier": "v", "teacher": {"path": "t"}}
        sizes = {"batch_size": self.options.pairs, "micro_batch_size": self.options.pairs, "steps": self.options.steps}
        return Dpd.model_validate({**keys, **sizes, "save_every": 10_000, **changes})

    def _job(self, stage: Any, **inputs: Path) -> Any:
        from posttrain.train.job import Job

        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "output").mkdir()
        return Job(
            stage=stage, step_name="distil", owner="owner", model=self.student, chat=self.chat, data={},
            recipe_dir=self.folder, attempt=place, output=place / "output", seed=5, stop_file=place / "stop",
            inputs={"pairs": self.folder, **inputs},
        )  # fmt: skip

    def ours(self, cache: Path | None) -> tuple[float, float]:
        """Seconds of a step, and of the reference pass over its pairs."""
        from posttrain.train import dpd

        job = self._job(self._stage(), **({"teacher_logprobs": cache} if cache else {}))
        seconds: dict[str, list[float]] = {"step": [], "reference": []}
        step, reference = dpd.DpdTrainer.training_step, dpd.reference_sums
        dpd.DpdTrainer.training_step = timed(step, seconds["step"])  # type: ignore[method-assign]
        dpd.reference_sums = timed(reference, seconds["reference"])
        try:
            dpd.train(job, None if cache else self.teacher)
        finally:
            dpd.DpdTrainer.training_step, dpd.reference_sums = step, reference  # type: ignore[method-assign]
        shutil.rmtree(job.attempt)
        seconds["step"][0] -= seconds["reference"][0]  # the first step scores the pairs of all
        return mean(seconds["step"]), seconds["reference"][0] / self.options.steps

    def cache(self) -> Path:
        """The teacher's distributions on disk. Those of random weights are flat: every position keeps all it may."""
        from posttrain.train.teacher_logprobs import write_cache

        job = self._job(self._stage(teacher={"path": "t", "cache": {}}))
        write_cache(job, self.teacher, ())
        return job.output

    def dpo(self, *, recompute: bool) -> float:
        """Seconds of a step of DPOTrainer."""
        import datasets
        from trl import DPOConfig, DPOTrainer

        from posttrain.data.template import ChatTemplate
        from posttrain.train.model import load_model

        template = ChatTemplate.load(self.student, self.chat)
        rows = [
            {"prompt": template.prompt_text(row["messages"]), "chosen": row["chosen"], "rejected": row["rejected"]}
            for row in self.rows
        ]
        settings = DPOConfig(
            output_dir=str(self.folder / "trl"), max_steps=self.options.steps, report_to="none", save_strategy="no",
            per_device_train_batch_size=self.options.pairs, max_length=None, use_cpu=True, bf16=False,
            disable_tqdm=True, gradient_checkpointing=recompute,
        )  # fmt: skip
        peer = DPOTrainer(
            model=load_model(self.student),
            ref_model=load_model(self.student),
            args=settings,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=template.tokenizer,
        )
        seconds: list[float] = []
        peer.training_step = timed(peer.training_step, seconds)  # type: ignore[method-assign]
        peer.train()
        return mean(seconds)

    def trl_distillation(self) -> float:
        """Seconds of TRL's divergence on both answers: the student's pass, the teacher's, loss and gradients."""
        from posttrain.data.template import ChatTemplate
        from posttrain.train.model import load_model
        from posttrain.train.pairs import pair_batch, pair_rows

        student, teacher = load_model(self.student), load_model(self.teacher).requires_grad_(False)
        rows = pair_rows(self._job(self._stage()), ChatTemplate.load(self.student, self.chat))
        seconds: list[float] = []
        once = timed(_trl_step, seconds)
        for start in range(0, len(rows), self.options.pairs):
            student.zero_grad(set_to_none=True)
            once(student, teacher, pair_batch(rows[start : start + self.options.pairs], "cpu"))
        return mean(seconds)


def _trl_step(student: Any, teacher: Any, batch: Any) -> None:
    import torch
    from trl.trainer.distillation_trainer import _chunked_divergence_loss

    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    hidden = student.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
    with torch.no_grad():
        its = teacher.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
    loss, _, _ = _chunked_divergence_loss(
        hidden, its, student.lm_head.weight, teacher.lm_head.weight, batch["trained"].long(), beta=0.0
    )
    loss.backward()


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """The function, whose processor time is noted."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.process_time() - start)

    return wrapped


if __name__ == "__main__":
    main()
