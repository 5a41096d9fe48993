"""Peak extra memory and time of the DPD and the GRPO loss in tiles, beside full logits and TRL's chunked kernels.
Prints Markdown.

    python benchmarks/loss_memory.py [--shapes 2048x151936 8192x32768] [--hidden 1024] [--losses dpd grpo] [--repeats 2]

float32 on one CPU thread, forward and backward of the loss alone: hidden states and heads are given, their gradients
come back. Each measurement has a process of its own. Memory is the highest resident size over that before the loss,
with the gradients returned in it, and in brackets without them. Time is processor time, the smallest of the repeats.
"full" is the former code: logits, log_softmax, autograd. TRL's pair for DPD is ChunkedDivergenceFunction and
ChunkedLogProbFunction with its own tile sizes, since it has no function for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = {"dpd": ("forward_kl", "reverse_kl", "jsd"), "grpo": ("dapo", "gspo")}
TRL_BETA = {"forward_kl": 0.0, "reverse_kl": 1.0, "jsd": 0.5}
ANSWERS = 8  # of equal length; half of them chosen for DPD, one group for GRPO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["2048x151936", "8192x32768"], help="tokens x vocabulary")
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--losses", nargs="+", default=["dpd", "grpo"], choices=["dpd", "grpo"])
    parser.add_argument("--kinds", nargs="+", help="divergences or policy losses; all where left out")
    parser.add_argument("--methods", nargs="+", default=["full", "trl", "ours"], choices=["full", "trl", "ours"])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(**json.loads(options.one))))
        return
    print("| loss | tokens x vocabulary | method | extra MiB (without gradients) | full / this | CPU s | this / full |")
    print("|---|---|---|---|---|---|---|")
    for loss in options.losses:
        for kind in KINDS[loss]:
            if options.kinds is None or kind in options.kinds:
                for shape in options.shapes:
                    rows(loss, kind, shape, options)


def rows(loss: str, kind: str, shape: str, options: argparse.Namespace) -> None:
    """The rows of one loss at one shape, in proportion to the first; fails where values or gradients differ."""
    tokens, vocabulary = (int(part) for part in shape.split("x"))
    full: dict[str, float] = {}
    for method in options.methods:
        asked = {
            "loss": loss, "kind": kind, "method": method, "tokens": tokens, "vocabulary": vocabulary,
            "hidden": options.hidden, "repeats": options.repeats,
        }  # fmt: skip
        command = [sys.executable, __file__, "--one", json.dumps(asked)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
        if done.returncode:
            raise SystemExit(f"{loss} {kind} {shape} {method}: exit {done.returncode}\n{done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        full = full or found
        for key in ("value", "norm"):
            if abs(found[key] - full[key]) > 1e-4 * abs(full[key]):
                raise SystemExit(
                    f"{loss} {kind} {shape}: {key} is {found[key]} by {method}, {full[key]} by full logits"
                )
        net = found["peak"] - found["gradients"]
        print(
            f"| {loss} {kind} | {tokens} x {vocabulary} | {method} | {found['peak']:,.0f} ({net:,.0f}) "
            f"| {full['peak'] / found['peak']:.1f} ({full['peak'] / net:.1f}) "
            f"| {found['seconds']:.1f} | {found['seconds'] / full['seconds']:.2f} |",
            flush=True,
        )  # fmt: skip


def measure(
    loss: str, kind: str, method: str, tokens: int, vocabulary: int, hidden: int, repeats: int
) -> dict[str, Any]:
    """In a process of its own: MiB, seconds, and figures that must not depend on the method."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = Batch(torch, tokens, vocabulary, hidden)
    call: Callable[[], Any] = {"dpd": dpd, "grpo": grpo}[loss](batch, kind, method)
    seconds = []
    peak = 0.0
    for _ in range(repeats):
        for leaf in batch.leaves:
            leaf.grad = None
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at the size of now
        before, start = resident("VmRSS"), time.process_time()
        value = call()
        value.backward()
        seconds.append(time.process_time() - start)
        peak = max(peak, resident("VmHWM") - before)
    norm = sum(float(leaf.grad.double().norm()) for leaf in batch.leaves)
    gradients = sum(leaf.grad.numel() * 4 for leaf in batch.leaves) / 2**20
    return {"peak": peak, "gradients": gradients, "seconds": min(seconds), "value": float(value), "norm": norm}


def resident(field: str) -> float:
    """MiB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


class Batch:
    """Hidden states and heads whose logits spread over a few nats, targets, answers, and old log-probabilities."""

    def __init__(self, torch: Any, tokens: int, vocabulary: int, hidden: int) -> None:
        from posttrain.train.losses.head import Head, States

        def made(rows: int, scale: float) -> Any:
            return torch.randn(rows, hidden).mul_(scale)

        self.leaves = [made(tokens, 1.0).requires_grad_(), made(vocabulary, 2.0 / hidden**0.5).requires_grad_()]
        self.student = States(hidden_NH=self.leaves[0], head=Head(weight_VH=self.leaves[1]))
        its = made(vocabulary, 1.0 / hidden**0.5).add_(self.leaves[1].detach(), alpha=0.5)
        self.teacher = States(hidden_NH=made(tokens, 0.5).add_(self.leaves[0].detach()), head=Head(weight_VH=its))
        self.targets = torch.randint(0, vocabulary, (tokens,))
        self.answers = torch.arange(tokens) * ANSWERS // tokens
        self.weights = torch.full((tokens,), 2.0 / tokens)
        self.old = torch.empty(ANSWERS, tokens // ANSWERS).normal_(-12.0, 1.0)
        self.advantages = torch.linspace(-1.0, 1.0, ANSWERS)


def dpd(batch: Batch, kind: str, method: str) -> Callable[[], Any]:
    import torch

    from posttrain.train.losses.dpd import dpo_loss, token_divergence
    from posttrain.train.losses.tiled import Divergence, distillation_loss

    def pairs(logprobs: Any) -> Any:
        sums = torch.zeros(ANSWERS).index_add(0, batch.answers, logprobs)
        chosen, rejected = sums.chunk(2)
        return dpo_loss(chosen, rejected, chosen.detach() - 1.0, rejected.detach(), beta=0.1).mean()

    def ours() -> Any:
        how = Divergence(kind=kind)
        return distillation_loss(
            batch.student, batch.teacher, batch.targets, divergence=how, weights_N=batch.weights, of_logprobs=pairs
        )[0]

    def full() -> Any:
        logits = batch.student.logits()
        with torch.no_grad():
            teacher = batch.teacher.logits()
        divergence = token_divergence(logits, teacher, kind=kind)
        logprobs = torch.log_softmax(logits, dim=-1).gather(1, batch.targets.unsqueeze(1)).squeeze(1)
        return (batch.weights * divergence).sum() + pairs(logprobs)

    def trl() -> Any:
        from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

        student, teacher = batch.student, batch.teacher
        divergence, _ = ChunkedDivergenceFunction.apply(
            student.hidden_NH, student.head.weight_VH, None, teacher.hidden_NH, teacher.head.weight_VH, None,
            TRL_BETA[kind],
        )  # fmt: skip
        return (batch.weights * divergence).sum() + pairs(trl_logprobs(batch))

    return {"ours": ours, "full": full, "trl": trl}[method]


def grpo(batch: Batch, kind: str, method: str) -> Callable[[], Any]:
    import torch

    from posttrain.train.losses.policy import Clip, Divisor, policy_loss
    from posttrain.train.losses.tiled import logprob_loss

    tokens = batch.targets.numel()
    divisor = Divisor(kind=kind, num_answers=ANSWERS, num_tokens=float(tokens), max_tokens=tokens // ANSWERS)

    def policy(logprobs: Any) -> Any:
        there = logprobs.view(ANSWERS, -1)
        mask = torch.ones_like(there)
        return policy_loss(there, batch.old, batch.advantages, mask, Clip(low=0.2, high=0.28), divisor)[0]

    def ours() -> Any:
        return logprob_loss(batch.student, batch.targets, policy, by_token=kind != "gspo")[0]

    def full() -> Any:
        log_softmax = torch.log_softmax(batch.student.logits() / 1.0, dim=-1)
        loss = policy(log_softmax.gather(1, batch.targets.unsqueeze(1)).squeeze(1))
        with torch.no_grad():
            (log_softmax.exp() * log_softmax).sum(dim=-1)  # the entropy on record
        return loss

    return {"ours": ours, "full": full, "trl": lambda: policy(trl_logprobs(batch, ("entropy",)))}[method]


def trl_logprobs(batch: Batch, outputs: tuple[str, ...] = ()) -> Any:
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction

    weight = batch.student.head.weight_VH
    found = ChunkedLogProbFunction.apply(
        batch.student.hidden_NH, weight, None, batch.targets, 1.0, 32768, None, 1.0, outputs
    )
    return found[0]


if __name__ == "__main__":
    main()
