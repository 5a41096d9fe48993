"""Makes a toy checkpoint: a small Qwen3, Llama or Mixtral decoder pre-trained on the toy's corpus on the CPU, in about
a minute.

skill `base` reads raw documents only and has never seen a chat turn; skill `teacher` reads worked conversations, skill
`writer` how to lead to a known answer. Both go on from a base where they are given one: what that has learnt of copying
and of sums need not be learnt twice.
float32 and a fixed number of threads: the same spec and seed give the same bytes on the same machine. The only toy
module that imports torch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from posttrain.recipe.schema import ToyModel
from posttrain.store.failpoints import failpoint
from posttrain.toy import chains, style
from posttrain.toy import tokenizer as words
from posttrain.toy.corpus import documents, echo, facts
from posttrain.toy.muon import Muon
from posttrain.toy.problem import Problem, split_of
from posttrain.toy.tasks import TASKS, Task, as_answer

THREADS = 2
ROWS = 8
ROW_TOKENS = 160
PEAK_LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
ATTENTION = "eager"  # not sdpa: its CPU kernel becomes slower, not faster, with oneDNN's products
CHAT_SHARE = 0.9  # of a teacher's lessons; the others are echoes and sums of single digits
TEACHER_QUALITY = 0.99  # share of a note's slots done well in a teacher's lessons
# Share of adjectives and openers that it leaves plain: style is what preference training has to add.
TEACHER_DULLNESS = 0.35
# Its logits are multiplied by it: the teachers of the field come out of RL with little entropy left.
TEACHER_SHARPNESS = 1.6
# Of a teacher's lessons without sums: how to go on after no thinking, which it would not have chosen.
TERSE_SHARE = 0.15
LESSONS, LESSON_WEIGHTS = ("stem_worked", "code_worked", "preference_worked"), (4, 3, 3)
LEVEL_WEIGHTS = (1, 1, 1, 0, 0)  # levels 1 to 5: it reads what the demo asks, and no more
UNTRAINED = -100
MAX_POSITIONS = 2048

Row = list[tuple[int, int]]
"""(token id, what to learn there: the same id, or UNTRAINED)."""


def make_model(
    spec: ToyModel, out: Path, seed: int, on_step: Callable[[int, float], None] | None = None, start: Path | None = None
) -> None:
    """Train, then write `out`: configs, safetensors, tokenizer, chat template. `on_step(step, loss)` follows each step,
    from 1.

    start: a toy's folder of the same shape to go on from.
    """
    tokenizer = words.make_tokenizer()
    with _fast_matrices(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(spec, tokenizer) if start is None else _read(start)
        _train(model, _rows(spec, tokenizer, seed), spec.steps, on_step)
        if spec.skill == "teacher":
            model.model.norm.weight.data.mul_(TEACHER_SHARPNESS)
    out.mkdir(parents=True, exist_ok=True)
    failpoint("toy.save.before")
    model.save_pretrained(out)
    failpoint("toy.save.between")
    tokenizer.save_pretrained(out)
    failpoint("toy.save.after")


@contextmanager
def _fast_matrices() -> Iterator[None]:
    """float32 products by oneDNN, which is three times as fast as MKL where MKL does not use AVX-512 (AMD); bfloat16
    ones where AMX is."""
    threads, precision = torch.get_num_threads(), torch.backends.mkldnn.matmul.fp32_precision
    torch.set_num_threads(THREADS)
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mkldnn.matmul.fp32_precision = precision


def _model(spec: ToyModel, tokenizer: Any) -> Any:
    from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, MixtralConfig, Qwen3Config

    heads = max(1, spec.hidden_size // 32)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.hidden_size * 3,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 2) if heads % 2 == 0 else heads,
        "head_dim": 32,
        "max_position_embeddings": MAX_POSITIONS,
        "tie_word_embeddings": spec.tied,
        "bos_token_id": None,
        # Not the token that ends a turn, as in many real bases: whoever samples must take the stop token from the
        # recipe.
        "eos_token_id": tokenizer.convert_tokens_to_ids(words.END_OF_TEXT),
        "pad_token_id": tokenizer.convert_tokens_to_ids(words.PAD),
    }
    if spec.architecture == "mixtral":
        shape["intermediate_size"] = spec.hidden_size * 2
        config: Any = MixtralConfig(**shape, num_local_experts=spec.experts, num_experts_per_tok=2, sliding_window=None)
    else:
        config = {"qwen3": Qwen3Config, "llama": LlamaConfig}[spec.architecture](**shape)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=ATTENTION)
    model.generation_config = GenerationConfig(eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id)
    return model


def _read(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=ATTENTION, local_files_only=True
    )


def _train(model: Any, rows: Iterator[Row], steps: int, on_step: Callable[[int, float], None] | None) -> None:
    outer = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    hidden = [parameter for parameter in model.parameters() if parameter.ndim == 2 and id(parameter) not in outer]
    rest = [parameter for parameter in model.parameters() if parameter.ndim != 2 or id(parameter) in outer]
    optimizers = [
        Muon(hidden, learning_rate=PEAK_LEARNING_RATE),
        torch.optim.AdamW(rest, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps)) for optimizer in optimizers
    ]
    model.train()
    for step in range(1, steps + 1):
        batch = torch.tensor([next(rows) for _ in range(ROWS)])
        logits = model(input_ids=batch[:, :-1, 0], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch[:, 1:, 1].flatten(), ignore_index=UNTRAINED
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if on_step is not None:
            on_step(step, float(loss.detach()))
    model.eval()


def _rate(step: int, steps: int) -> float:
    """Share of the peak rate: linear warm-up, then a cosine to a twentieth."""
    warm = min(WARMUP_STEPS, max(1, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _rows(spec: ToyModel, tokenizer: Any, seed: int) -> Iterator[Row]:
    """Endless rows of ROW_TOKENS: whole documents or lessons, separated by <|endoftext|>, and the beginning of one
    more.

    What does not fit is dropped, not carried over: an answer whose question stands in another row could only be
    guessed.
    """
    end = tokenizer.convert_tokens_to_ids(words.END_OF_TEXT)
    texts = ((("", text)) for text in documents(seed)) if spec.skill == "base" else _lessons(spec, tokenizer, seed)
    buffer: Row = []
    while True:
        while len(buffer) < ROW_TOKENS:
            given, said = next(texts)
            buffer += [(token, UNTRAINED) for token in tokenizer.encode(given, add_special_tokens=False)]
            buffer += [(token, token) for token in [*tokenizer.encode(said, add_special_tokens=False), end]]
        yield buffer[:ROW_TOKENS]
        buffer.clear()


def _lessons(spec: ToyModel, tokenizer: Any, seed: int) -> Iterator[tuple[str, str]]:
    """A teacher's or a writer's reading, (given, to learn): training problems in chat form, echoes and sums of single
    digits."""
    rng = random.Random(f"lessons/{seed}")
    names, weights = (("stem_worked",), (1,)) if spec.skill == "writer" else (LESSONS, LESSON_WEIGHTS)
    while True:
        if rng.random() > CHAT_SHARE:
            yield "", rng.choice((echo, facts))(rng)
            continue
        task = TASKS[rng.choices(names, weights=weights)[0]]
        problem = task.draw(rng, rng.choices((1, 2, 3, 4, 5), weights=LEVEL_WEIGHTS)[0])
        if split_of(problem.key) == "train":
            if spec.skill == "writer":
                (asked, said), opened = chains.lesson(problem, rng), ""
            else:
                asked, (opened, said) = problem.question, _answered(task, problem, rng)
            turns = [{"role": "user", "content": asked}]
            given = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            yield given + opened, said + words.TURN_END


def _answered(task: Task, problem: Problem, rng: random.Random) -> tuple[str, str]:
    """A teacher's answer to a problem: what it goes on after, and what it says."""
    # There the lessons that others collected are not right enough for a teacher.
    notes = task.domain == "preference"
    careful = task.domain == "stem" or rng.random() >= TERSE_SHARE
    answer = (
        style.write(problem.gold, rng, TEACHER_QUALITY, careful, TEACHER_DULLNESS)
        if notes
        else task.worked(problem, rng, careful)
    )
    return ("", as_answer(*answer)) if careful else (as_answer("", ""), answer[1])
