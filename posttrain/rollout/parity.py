"""Does the engine sample from the weights we think it has? First identity, then sanity.

    identity    the checksum of every tensor that the engine can show, against the trainer's cast to the engine's dtype
                (identity.py): sees a stale engine however small the update was, and one wrong element
    sanity      log-probabilities of a few short sequences, engine against a plain forward pass: sees what is not in
                the weights (positions, attention), and weights that the engine cannot show

A weight update that reports success proves nothing (see `weights.in_place_update_lies`), so every hand-over ends here:
what differs rebuilds the engine, and what stays different stops the run. Knows no engine's kind and no verifier.

Shapes: S sequences, T tokens; starts: [S], the first scored position of each; log-probabilities: [S][T - start],
natural log.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from posttrain.errors import StageError
from posttrain.rollout.engine import Engine
from posttrain.rollout.identity import differing
from posttrain.rollout.shared_weights import WeightMemory
from posttrain.rollout.weights import checkpoint_weights, read_config

LogProbs = Callable[[Sequence[Sequence[int]], Sequence[int]], list[list[float]]]
Weights = Callable[[], Iterable[tuple[str, Any]]]

TOLERANCES = {"float32": 1e-3, "float16": 0.125, "bfloat16": 1.0}
"""Nats, by the engine's dtype, of the largest gap to a float32 reference. Measured on random models of 2 to 24 layers:
up to 5e-7 in float32, 0.02 in float16 and 0.18 in bfloat16; the rest is left for deeper and sharper models. That loose
a check cannot see a small update: identity does."""

_PROBE_LENGTHS = (24, 17, 9)


def probe_sequences(model_dir: str | Path) -> tuple[list[list[int]], list[int]]:
    """Three short sequences of fixed pseudo-random token ids. Random ids touch rows of the embedding that text might
    not."""
    config = read_config(model_dir)
    inner = config.get("text_config")
    return probe_of(int((inner if isinstance(inner, dict) and "vocab_size" in inner else config)["vocab_size"]))


def probe_of(vocabulary: int) -> tuple[list[list[int]], list[int]]:
    """The same from the number of token ids."""
    draw = random.Random(20)
    sequences = [[draw.randrange(vocabulary) for _ in range(length)] for length in _PROBE_LENGTHS]
    return sequences, [1] * len(sequences)


def trainer_logprobs(model: Any, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
    """log p(token_t | tokens_<t) for t >= start, by one forward pass a sequence: no padding, nothing to mask
    wrongly."""
    import torch

    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    scored = []
    with torch.no_grad():
        for sequence, start in zip(sequences, starts, strict=True):
            ids = torch.tensor([list(sequence)], device=device)
            logprobs = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
            scored.append(
                [float(logprobs[position - 1, sequence[position]]) for position in range(start, len(sequence))]
            )
    model.train(was_training)
    return scored


def folder_logprobs(model_dir: str | Path) -> LogProbs:
    """The same from a checkpoint on disk, in float32; the model is dropped after each call. Where vLLM has changed the
    model's classes in this process, a child computes them."""

    def logprobs(sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        from posttrain.rollout.causal import changed_by_vllm, load_causal

        if changed_by_vllm(model_dir):
            return _logprobs_of_a_child(model_dir, sequences, starts)
        model = load_causal(model_dir)
        scored = trainer_logprobs(model, sequences, starts)
        del model
        gc.collect()
        return scored

    return logprobs


def _logprobs_of_a_child(
    model_dir: str | Path, sequences: Sequence[Sequence[int]], starts: Sequence[int]
) -> list[list[float]]:
    command = [sys.executable, "-m", "posttrain.rollout.parity", str(model_dir)]
    asked = json.dumps({"sequences": [list(row) for row in sequences], "starts": list(starts)})
    child = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=False)
    if child.returncode != 0:
        raise StageError(
            f"the reference for the engine's log-probabilities ended with {child.returncode}",
            where=str(model_dir),
            remedy="the engine's log has its traceback; the same command resumes",
        )
    scored: list[list[float]] = json.loads(child.stdout.splitlines()[-1])
    return scored


def largest_gap(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    """max |a - b| over all positions, in nats; a NaN on either side is an infinite gap."""
    gaps = [abs(a - b) for left, right in zip(ours, theirs, strict=True) for a, b in zip(left, right, strict=True)]
    return float("inf") if any(gap != gap for gap in gaps) else max(gaps, default=0.0)


def check_parity(
    engine: Engine, reference: LogProbs, sequences: Sequence[Sequence[int]], starts: Sequence[int]
) -> float:
    """The gap, engine against reference."""
    return largest_gap(engine.score(sequences, starts), reference(sequences, starts))


def tolerance_for(dtype: str, asked: float | None) -> float:
    """What the recipe asks for, else what rounding in this dtype explains."""
    return TOLERANCES[dtype] if asked is None else asked


def ensure_parity(
    engine: Engine,
    reference: LogProbs,
    sequences: Sequence[Sequence[int]],
    starts: Sequence[int],
    *,
    tolerance: float | None,
    rebuild: Callable[[], None],
    weights: Weights,
) -> float:
    """Check; rebuild and check again where a tensor differs or the gap is above the tolerance (None: by the engine's
    dtype); StageError naming tensors or gap where it stays. Returns the gap."""
    allowed = tolerance_for(engine.health().dtype, tolerance)

    def check() -> tuple[list[str], list[str], float]:
        differ, unread = differing(engine.checksums(), weights())
        return differ, unread, check_parity(engine, reference, sequences, starts)

    before, _, gap = check()
    if not before and gap <= allowed:
        return gap
    rebuild()
    differ, unread, rebuilt = check()
    if differ:
        raise StageError(
            f"{len(differ)} tensors in the engine are not the trainer's, also after a rebuild: {', '.join(differ[:3])}",
            where="engine",
            remedy="an option of vLLM that changes weights? else set `engine: {backend: hf}` and report the model",
        )
    if rebuilt > allowed:
        shown = f"; {len(unread)} tensors cannot be compared themselves ({unread[0]})" if unread else ""
        raise StageError(
            f"the engine's log-probabilities differ from the trainer's by {rebuilt:.3g} nats after a rebuild "
            f"({gap:.3g} before), tolerance {allowed:.3g}{shown}",
            where="engine.parity_tolerance",
            remedy=(
                "use float32 on the CPU, or `engine: {backend: hf}`; a larger tolerance only if the dtype "
                "explains the gap"
            ),
        )
    return rebuilt


def hand_over(
    engine: Engine,
    model: Any,
    version: str,
    *,
    like: str | Path,
    tolerance: float | None,
    memory: WeightMemory | None = None,
) -> float:
    """Give the trainer's weights to the engine and check them. Returns the gap in nats.

    `like` is a checkpoint of the same shape: its vocabulary bounds the probe, and its files complete the folder of a
    rebuild. memory: through which the engines of this node get them, for a caller who comes again.
    """
    tensors = checkpoint_weights(model)

    def kept() -> dict[str, str]:
        return {name: one.dtype for name, one in engine.checksums().items()}

    weights = (memory or WeightMemory()).filled(tensors, kept, engine.health().dtype)
    engine.update_weights(weights, version)
    sequences, starts = probe_sequences(like)

    def rebuild() -> None:
        from posttrain.rollout.weights import read_companions, write_checkpoint

        with tempfile.TemporaryDirectory(prefix="posttrain-rebuild-") as folder:
            engine.rebuild(str(write_checkpoint(read_companions(like), weights, Path(folder))), version)

    return ensure_parity(
        engine,
        lambda rows, firsts: trainer_logprobs(model, rows, firsts),
        sequences,
        starts,
        tolerance=tolerance,
        rebuild=rebuild,
        weights=lambda: tensors.items(),  # the model's own, not what went over
    )


def _main(model_dir: str) -> None:
    asked = json.load(sys.stdin)
    print(json.dumps(folder_logprobs(model_dir)(asked["sequences"], asked["starts"])))


if __name__ == "__main__":
    _main(*sys.argv[1:])
