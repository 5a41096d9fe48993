"""The tokens step beside the tokenizer's own encode_batch over the same texts; its memory by rows; packing beside TRL.
Prints Markdown.

    python benchmarks/tokens.py [--speed 100000x120 5000x2000] [--memory 10000 100000 1000000] [--processes 2]

Rows of made-up words, as frequent as words are, and a byte-level BPE of 32,000 tokens trained on them. Speed: rows a
second of processor time (of all processes and threads), which other work on the machine changes little, and of wall
clock. The peer gets texts that are rendered already, and gives ids and offsets; the step reads JSON, renders, masks,
checks, draws, packs and writes. Each measurement has a process of its own. Memory: the largest resident size of the
process that leads and of the largest beside it; what a trainer holds of its own (files that are mapped aside) once it
has read 1,000 sequences; and the seconds until it has the first.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

END = "<|im_end|>"
BATCH = 1000
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", nargs="*", default=["100000x120", "5000x2000"], help="rows x words")
    parser.add_argument("--memory", nargs="*", type=int, default=[10_000, 100_000, 1_000_000], help="rows of 120 words")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        asked = json.loads(options.one)
        measures: dict[str, Callable[..., dict[str, float]]] = {
            "peer": measure_peer, "step": measure_step, "trainer": measure_trainer,
        }  # fmt: skip
        print(json.dumps(measures[asked.pop("what")](**asked)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tokenizer(folder)
        print("| rows x words | encode_batch, rows/CPU s (rows/s) | tokens step | step / encode_batch |")
        print("|---|---|---|---|")
        for shape in options.speed:
            speed(folder, shape, options.processes)
        print(
            "\n| rows of 120 words | seconds | peak of the leading process, MiB | of the largest beside it "
            "| a trainer's own, MiB | its first sequence, s |\n|---|---|---|---|---|---|"
        )
        for rows in options.memory:
            memory(folder, rows, options.processes)
    packing()


def one(**asked: Any) -> dict[str, float]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(asked, default=str)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    if done.returncode:
        raise SystemExit(f"{asked}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def speed(folder: Path, shape: str, processes: int) -> None:
    """One row of the first table."""
    rows, words = (int(part) for part in shape.split("x"))
    write_rows(folder / "rows.jsonl", rows, words)
    peer = one(what="peer", folder=folder, processes=processes)
    step = one(what="step", folder=folder, processes=processes)
    print(
        f"| {rows:,} x {words:,} | {rows / peer['cpu']:,.0f} ({rows / peer['wall']:,.0f}) "
        f"| {rows / step['cpu']:,.0f} ({rows / step['wall']:,.0f}) "
        f"| {peer['cpu'] / step['cpu']:.2f} ({peer['wall'] / step['wall']:.2f}) |",
        flush=True,
    )


def memory(folder: Path, rows: int, processes: int) -> None:
    """One row of the second table."""
    write_rows(folder / "rows.jsonl", rows, 120)
    step = one(what="step", folder=folder, processes=processes)
    trainer = one(what="trainer", folder=folder)
    print(
        f"| {rows:,} | {step['wall']:.0f} | {step['peak'] / MIB:,.0f} | {step['beside'] / MIB:,.0f} "
        f"| {trainer['own'] / MIB:,.0f} | {trainer['first']:.2f} |",
        flush=True,
    )


# ---------------------------------------------------------------- what is measured


def write_rows(path: Path, count: int, num_words: int) -> None:
    """Rows of made-up words, as frequent as words are (Zipf)."""
    rng = random.Random(0)
    vocabulary, weights = words()
    with path.open("w", encoding="utf-8") as out:
        for _ in range(count):
            text = rng.choices(vocabulary, cum_weights=weights, k=num_words)
            cut, end = num_words // 6, num_words * 2 // 3
            answer = f"<think>{' '.join(text[cut:end])}</think>{' '.join(text[end:])}"
            out.write(json.dumps({"prompt": " ".join(text[:cut]), "completion": answer}) + "\n")


def words() -> tuple[list[str], list[float]]:
    """The words, and their weights added up."""
    rng = random.Random(1)
    vocabulary = ["".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(2, 9))) for _ in range(60_000)]
    return vocabulary, list(itertools.accumulate(1 / (rank + 8) for rank in range(len(vocabulary))))


def make_tokenizer(folder: Path) -> None:
    """A byte-level BPE beside nothing: the step loads no weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    rng, (vocabulary, weights) = random.Random(2), words()
    texts = (" ".join(rng.choices(vocabulary, cum_weights=weights, k=200)) for _ in range(3000))
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=32_000, initial_alphabet=alphabet, show_progress=False)
    )
    core.add_special_tokens(["<|endoftext|>", "<|im_start|>", END, "<think>", "</think>"])
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=END, pad_token="<|endoftext|>")
    made.save_pretrained(folder / "model")


def the_chat() -> Any:
    """How the rows become text."""
    from posttrain.recipe.schema import Chat

    return Chat(template="chatml_think", stop=[END])


def measure_peer(folder: str, processes: int) -> dict[str, float]:
    """encode_batch over the rendered texts, with as many threads."""
    os.environ |= {"RAYON_NUM_THREADS": str(processes), "TOKENIZERS_PARALLELISM": "true"}
    from posttrain.data.template import ChatTemplate

    template = ChatTemplate.load(Path(folder) / "model", the_chat())
    backend = template.tokenizer.backend_tokenizer
    cpu = wall = 0.0
    with (Path(folder) / "rows.jsonl").open(encoding="utf-8") as lines:
        while batch := list(itertools.islice(lines, BATCH)):
            rows = [json.loads(line) for line in batch]
            texts = [
                template.render(
                    [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}],
                    ask=False,
                )
                for row in rows
            ]
            began, used = time.monotonic(), time.process_time()
            backend.encode_batch(texts, add_special_tokens=False)
            cpu, wall = cpu + time.process_time() - used, wall + time.monotonic() - began
    return {"cpu": cpu, "wall": wall}


def measure_step(folder: str, processes: int) -> dict[str, float]:
    """The step as a stage runs it."""
    import shutil

    from posttrain.recipe.schema import FileData, Sft
    from posttrain.train import tokens
    from posttrain.train.job import Job

    home = Path(folder)
    for name in ("attempt", "tokens"):
        shutil.rmtree(home / name, ignore_errors=True)
    (home / "tokens").mkdir()
    data = {"rows": FileData.model_validate({"source": "jsonl", "path": "rows.jsonl", "card": "card.md"})}
    keys = {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "epochs": 1.0, "max_tokens": 8192}
    job = Job(
        stage=Sft.model_validate(keys),
        step_name="warm.tokens",
        owner="benchmark",
        model=home / "model",
        chat=the_chat(),
        data=data,
        recipe_dir=home,
        attempt=home / "attempt",
        output=home / "tokens",
        seed=0,
        stop_file=home / "stop",
    )
    tokens._cores = lambda: processes
    began, before = time.monotonic(), used()
    tokens.make_tokens(job, ())
    return {
        "wall": time.monotonic() - began,
        "cpu": used() - before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "beside": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


def used() -> float:
    """Processor seconds of this process and of those that it has ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measure_trainer(folder: str) -> dict[str, float]:
    """What one worker holds of the tokens: memory that no file backs."""
    from posttrain.train.tokens import Sequences

    before, began = own_memory(), time.monotonic()
    sequences = Sequences(Path(folder) / "tokens")
    sequences.example(0)
    first = time.monotonic() - began
    for number in random.Random(0).sample(range(len(sequences)), min(1000, len(sequences))):
        sequences.example(number)
    return {"own": own_memory() - before, "first": first}


def own_memory() -> float:
    """Resident bytes of this process that are not pages of files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return float(fields["RssAnon"].split()[0]) * 1024


def packing() -> None:
    """Log-normal lengths into sequences of 32,768 tokens: how full they are, and whether long rows come first."""
    import datasets
    from trl import pack_dataset

    from posttrain.data.packing import pack

    room = 32_768
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(8.3, 1.0, 4000), 16, room).astype(int)
    ours = [lengths[rows] for rows in pack(lengths.tolist(), room, 0)]
    table = datasets.Dataset.from_dict({"input_ids": [np.zeros(length, dtype=np.int8) for length in lengths]})
    theirs = [np.array(row) for row in pack_dataset(table, room, strategy="bfd")["seq_lengths"]]
    print("\n| packing, 4,000 log-normal lengths to 32K | sequences | full | longest row against place in the order |")
    print("|---|---|---|---|")
    for name, found in (("tokens step", ours), ("TRL bfd", theirs)):
        full = sum(map(sum, found)) / (len(found) * room)
        block = [part for part in np.array_split(np.array([max(rows) for rows in found]), 4)]
        order = np.mean([np.corrcoef(np.arange(len(part)), part)[0, 1] for part in block])
        print(f"| {name} | {len(found):,} | {full:.4f} | correlation {order:+.2f} |")


if __name__ == "__main__":
    main()
