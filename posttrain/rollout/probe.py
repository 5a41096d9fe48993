"""Does vLLM really generate on this machine, and does it hold weights that do not change? Asked in a child process,
since the wrong kernels end a process instead of raising.

For `posttrain doctor`. Importing this file imports neither torch nor vllm; the child does. Run it by hand with
`python -m posttrain.rollout.probe`, and `... probe sync` for the second question.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_TOKENS, _UPDATES = 4, 50


def generates(timeout: float = 180.0) -> tuple[bool, str]:
    """(whether vLLM generated from a tiny random model, what happened in one line)."""
    return _ask("generate", timeout)


def holds_weights(timeout: float = 600.0) -> tuple[bool, str]:
    """(whether 50 hand-overs of the same weights leave the same gap between trainer and vLLM, that gap in one line)."""
    return _ask("sync", timeout)


def _ask(question: str, timeout: float) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory(prefix="posttrain-probe-") as folder:
        command = [sys.executable, "-m", "posttrain.rollout.probe", question, folder]
        # A session of its own: a vLLM that starts helpers leaves none behind when it hangs.
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            start_new_session=True,
        )
        try:
            output, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # no word from its pipe: what left the session may hold it open
            child.wait()
            return False, f"vLLM did not answer within {timeout:g} s"
    lines = [line for line in output.splitlines() if line.strip()]
    if child.returncode == 0 and lines:
        return True, lines[-1]
    if child.returncode < 0:
        return False, f"vLLM died with {signal.Signals(-child.returncode).name} (a processor it misjudges?)"
    return False, lines[-1] if lines else f"vLLM ended with {child.returncode} and said nothing"


def _generate(folder: str) -> str:
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.tiny import tiny_model
    from posttrain.rollout.vllm_engine import VllmEngine
    from posttrain.types import GenerationRequest, SamplingParams

    model_dir = tiny_model(Path(folder))
    engine = VllmEngine(str(model_dir), "probe", EngineOptions(context_tokens=64, kv_cache_gb=0.05))
    answers = engine.generate(
        [GenerationRequest(prompt_ids=(1, 2, 3), seeds=(0, 1))], SamplingParams(max_tokens=_TOKENS)
    )
    tokens = sum(completion.num_tokens for completion in answers[0])
    if tokens != 2 * _TOKENS:
        raise SystemExit(f"vLLM gave {tokens} tokens where {2 * _TOKENS} were asked for")
    health = engine.health()
    return f"vLLM generated {tokens} tokens on {health.device} in {health.dtype}"


def _sync(folder: str) -> str:
    import time

    from posttrain.rollout.causal import load_causal
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.parity import hand_over, tolerance_for
    from posttrain.rollout.tiny import tiny_model
    from posttrain.rollout.vllm_engine import VllmEngine

    model_dir = tiny_model(Path(folder))
    model = load_causal(model_dir)
    engine = VllmEngine(str(model_dir), "probe", EngineOptions(context_tokens=160, kv_cache_gb=0.05))
    began = time.perf_counter()
    gaps = [hand_over(engine, model, f"update-{number}", like=model_dir, tolerance=None) for number in range(_UPDATES)]
    seconds = (time.perf_counter() - began) / _UPDATES
    dtype = engine.health().dtype
    shown = f"{min(gaps):.2g} to {max(gaps):.2g} nats over {_UPDATES} updates in {dtype}, {seconds:.2f} s each"
    if max(gaps) - min(gaps) > tolerance_for(dtype, None) / 10:
        raise SystemExit(f"the gap is not flat: {shown}")
    return f"the gap is flat: {shown}"


def _main(question: str = "generate", folder: str | None = None) -> None:
    answer = {"generate": _generate, "sync": _sync}[question](folder or tempfile.mkdtemp(prefix="posttrain-probe-"))
    sys.stdout.flush()
    print(answer, flush=True)
    os._exit(0)  # the answer is given; vLLM's own shutdown may take seconds and its faults are not ours to report


if __name__ == "__main__":
    _main(*sys.argv[1:])
