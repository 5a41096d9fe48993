"""The rollout engine on vLLM, in the calling process. The only file that imports vllm.

It does not know that it lives in an actor, and it does not judge its own weights: `parity.py` compares it with a
trainer.

Three facts of vLLM 0.31 shape it. On the CPU an in-place update of tied or expert weights succeeds and is wrong, so
these shapes are rebuilt (`weights.in_place_update_lies`). A prefix cache outlives the weights that filled it, so it is
dropped with each update, and at the start of each call: a resumed run starts with a cold cache, and its last bits must
equal those of a run that never stopped. A seed belongs to one request, so every sample is a request of its own (the
prompt's blocks are shared through the cache).
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posttrain.telemetry import quiet_environment

# Read by vLLM when it is imported. The first keeps the engine in this process (a worker process would add its start-up
# and a second copy of the libraries); the second lets a full context be scored (see max_model_len), the real limit is
# checked in `_check_context`.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.update(quiet_environment())
if not torch.cuda.is_available():
    # Keeps vLLM's small sampling kernels out of a C++ compiler, which costs 4 to 20 s and which a machine need not
    # have.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import vllm

from posttrain.errors import InputError, StageError
from posttrain.rollout.dispatch import Sample
from posttrain.rollout.engine import EngineHealth, EngineOptions
from posttrain.rollout.identity import Held, held
from posttrain.rollout.text import Decoder, answer_budget, refuse_too_long
from posttrain.rollout.weights import (
    in_place_update_lies,
    iterate_weights,
    read_companions,
    read_config,
    write_checkpoint,
)
from posttrain.types import Completion, GenerationRequest, SamplingParams

_BLOCK_TOKENS = 32  # the CPU kernels want a multiple of 32; the smallest shares most of a short prompt
_SEQUENCES = 256  # requests decoded together; 512 were no faster for tiny models and doubled the cache
_BATCHED_TOKENS = 16384
_MAX_LABELS = 128  # vLLM's own limit on logprob_token_ids


class VllmEngine:
    """Engine protocol over one `vllm.LLM`.

    kv_cache_gb is an upper bound on the CPU: no more is taken than `_SEQUENCES` contexts of this model can fill.
    """

    def __init__(self, model_dir: str, version: str, options: EngineOptions = EngineOptions()) -> None:  # noqa: B008 - frozen
        self._on_gpu = options.device.startswith("cuda") if options.device != "auto" else torch.cuda.is_available()
        self._dtype = ("bfloat16" if self._on_gpu else "float32") if options.dtype == "auto" else options.dtype
        self._context_tokens = options.context_tokens
        self._kv_cache_gb = options.kv_cache_gb
        self._gpu_memory_share = options.gpu_memory_share
        self._seed = options.seed
        self._sleeps, self._asleep = options.sleeps, False
        self._source: str | Mapping[str, Any] = model_dir  # of the weights, where the engine stops between its turns
        self.on_step: Callable[..., None] = lambda *_: None
        self._own = dict(options.vllm)
        self._llm: vllm.LLM | None = None
        self._live: dict[str, Sample] = {}  # under way between two calls of `advance`
        self._asked = 0
        self._start(model_dir, version)

    # ------------------------------------------------------------ life

    def _start(self, model_dir: str, version: str) -> None:
        self._decoder = Decoder(model_dir)
        self._config = read_config(model_dir)
        self._check_context()
        # In memory: a rebuild needs them when their folder is gone, and a killed actor would leave a folder of its own
        # behind.
        self._companions = read_companions(model_dir)
        self._version = version
        options: dict[str, Any] = {
            "model": model_dir,
            "skip_tokenizer_init": True,
            "dtype": self._dtype,
            "max_model_len": self._context_tokens + 1,  # scoring a full context generates one token after it
            "max_num_seqs": _SEQUENCES,
            "max_num_batched_tokens": max(_BATCHED_TOKENS, self._context_tokens + 1),
            "enable_prefix_caching": True,
            "logprobs_mode": "processed_logprobs",  # of the policy that samples, at its temperature
            "disable_log_stats": True,
            "seed": self._seed,
            "generation_config": "vllm",  # the checkpoint's own sampling defaults must not leak into ours
        }
        if self._on_gpu:
            options |= {"gpu_memory_utilization": self._gpu_memory_share, "enable_sleep_mode": self._sleeps}
        else:
            options |= {
                "enforce_eager": True,
                # A prompt that is read in two steps draws a sample after the first and takes it back, which a
                # generator of the CPU cannot: prompts that do not fit a step any more wait for the next.
                "enable_chunked_prefill": False,
                "block_size": _BLOCK_TOKENS,
                "kv_cache_memory_bytes": self._kv_cache_bytes(),
            }
        try:
            self._llm = vllm.LLM(**options | self._own)
        except (TypeError, ValueError, AssertionError) as error:
            if not self._own:
                raise
            shown = ", ".join(f"{name}: {value!r}" for name, value in sorted(self._own.items()))
            raise InputError(
                f"vLLM does not start with {shown}: {' '.join(str(error).split())[:500]}",
                where="engine.options",
                remedy="mend what it names; the engine's log has all of it",
            ) from error

        # Also those of vLLM's own loop, in `generate`.
        step = self._llm.llm_engine.step
        self._llm.llm_engine.step = lambda: self._stepped(step())

    def _stepped(self, outputs: Any) -> Any:
        self.on_step()
        return outputs

    def _kv_cache_bytes(self) -> int:
        config = self._config
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        head_size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        bytes_per_token = (
            2 * config["num_hidden_layers"] * heads * head_size * torch.finfo(getattr(torch, self._dtype)).bits // 8
        )
        block = int(self._own.get("block_size") or _BLOCK_TOKENS)
        one = (-(-self._context_tokens // block) + 1) * block * bytes_per_token
        if self._kv_cache_gb * 2**30 < 2 * one:
            raise InputError(
                f"{self._kv_cache_gb:g} GiB of cache do not hold two contexts of {self._context_tokens} tokens",
                where="engine.kv_cache_gb",
                remedy=f"at least {2 * one / 2**30:.3f}, or a shorter engine.context_tokens",
            )
        sequences = int(self._own.get("max_num_seqs") or _SEQUENCES)
        return min((sequences + 1) * one, int(self._kv_cache_gb * 2**30))

    def _check_context(self) -> None:
        limit = self._config.get("max_position_embeddings")
        stretched = (self._config.get("rope_scaling") or self._config.get("rope_parameters") or {}).get("factor")
        if limit and not stretched and self._context_tokens > limit:
            raise InputError(
                f"a context of {self._context_tokens} tokens is longer than the model's {limit} positions",
                where="engine.context_tokens",
                remedy=f"at most {limit}",
            )

    @property
    def _engine(self) -> vllm.LLM:
        if self._llm is None:
            raise StageError("the rollout engine was closed", remedy="ask the machine for it again")
        return self._llm

    def close(self) -> None:
        if self._llm is None:
            return
        self._llm.llm_engine.engine_core.shutdown()
        self._llm, self._live = None, {}
        gc.collect()
        # A second LLM in the same process needs the distributed state of the first gone.
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        cleanup_dist_env_and_memory()

    def rebuild(self, model_dir: str, version: str) -> None:
        self.close()
        self._start(model_dir, version)

    def sleep(self) -> None:
        """On a GPU weights go to main memory and the cache is dropped; on a CPU vLLM stops."""
        if self._asleep:
            return
        if self._on_gpu:
            self._give_up()
            self._engine.sleep(level=1)
        else:
            self.close()
        self._asleep = True

    def wake(self) -> None:
        if not self._asleep:
            return
        if self._on_gpu:
            self._engine.wake_up()
        elif isinstance(self._source, str):
            self.rebuild(self._source, self._version)
        else:
            self._rebuild_with(self._source, self._version)
        self._asleep = False

    def abandon(self) -> None:
        self.sleep()

    def health(self) -> EngineHealth:
        return EngineHealth(
            backend="vllm",
            version=self._version,
            device="cuda" if self._on_gpu else "cpu",
            dtype=self._dtype,
            pid=os.getpid(),
        )

    # ------------------------------------------------------------ weights

    def load(self, model_dir: str, version: str) -> None:
        self._source = model_dir
        if not self._on_gpu and in_place_update_lies(self._config):
            self.rebuild(model_dir, version)
            return
        if self._is_split:
            self._reload_folder(model_dir, version)
        else:
            self._reload(iterate_weights(model_dir), version)

    def update_weights(self, weights: Mapping[str, Any], version: str) -> None:
        if self._sleeps and not self._on_gpu:
            # Of its own: who shared them may be gone when it wakes.
            self._source = {name: tensor.clone() for name, tensor in weights.items()}
        if not self._on_gpu and in_place_update_lies(self._config):
            self._rebuild_with(weights, version)
            return
        if self._is_split:
            with tempfile.TemporaryDirectory(prefix="posttrain-weights-", dir=_shared_memory()) as folder:
                self._reload_folder(str(write_checkpoint(self._companions, weights, Path(folder))), version)
        else:
            self._reload(iter(weights.items()), version)

    def _rebuild_with(self, weights: Mapping[str, Any], version: str) -> None:
        with tempfile.TemporaryDirectory(prefix="posttrain-rebuild-") as folder:
            self.rebuild(str(write_checkpoint(self._companions, weights, Path(folder))), version)

    @property
    def _is_split(self) -> bool:
        """Whether the model lives in worker processes, which tensors reach by a path only."""
        return any(int(self._own.get(name) or 1) > 1 for name in ("tensor_parallel_size", "pipeline_parallel_size"))

    def _reload_folder(self, model_dir: str, version: str) -> None:
        self._give_up()
        self._engine.collective_rpc("reload_weights", kwargs={"weights_path": model_dir})
        self._drop_prefix_cache()
        self._version = version

    def _reload(self, weights: Any, version: str) -> None:
        self._give_up()
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        self._drop_prefix_cache()
        self._version = version

    def _give_up(self) -> None:
        """Drop what an earlier caller of `advance` left under way."""
        if self._live:
            self._engine.llm_engine.abort_request(list(self._live))
            self._live = {}

    def _drop_prefix_cache(self) -> None:
        if not self._engine.reset_prefix_cache():
            raise StageError(
                "the prefix cache could not be dropped: a request is still running",
                remedy="wait for generate before updating",
            )

    def checksums(self) -> dict[str, Held]:
        """None of a model that is split over processes, each of which has its share of every tensor."""
        return {} if self._is_split else dict(self._engine.apply_model(held)[0])

    # ------------------------------------------------------------ sampling and scoring

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
        samples = [(list(request.prompt_ids), seed) for request in requests for seed in request.seeds]
        params = [self._params(len(prompt), seed, sampling) for prompt, seed in samples]
        outputs = iter(self._run([prompt for prompt, _ in samples], params))
        return [
            [self._completion(next(outputs).outputs[0], sampling, seed) for seed in request.seeds]
            for request in requests
        ]

    def _params(self, prompt_tokens: int, seed: int, sampling: SamplingParams) -> vllm.SamplingParams:
        return vllm.SamplingParams(
            n=1,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=answer_budget(prompt_tokens, sampling.max_tokens, self._context_tokens),
            stop_token_ids=list(sampling.stop_token_ids),
            ignore_eos=True,  # only the recipe's stop tokens end a turn, never config.eos_token_id
            seed=seed,
            logprobs=0,  # of the sampled token alone
            detokenize=False,
            output_kind=vllm.sampling_params.RequestOutputKind.FINAL_ONLY,
        )

    def advance(
        self, new: Sequence[Sample], sampling: SamplingParams, *, fresh: bool, at_least: int
    ) -> list[tuple[int, Completion]]:
        core = self._engine.llm_engine
        if fresh:
            self._give_up()
            self._drop_prefix_cache()
        for sample in new:
            name, self._asked = f"sample-{self._asked}", self._asked + 1
            params = self._params(len(sample.prompt_ids), sample.seed, sampling)
            core.add_request(name, {"prompt_token_ids": list(sample.prompt_ids)}, params)
            self._live[name] = sample
        done: list[tuple[int, Completion]] = []
        while self._live and len(done) < at_least:
            for output in core.step():
                if output.finished:
                    sample = self._live.pop(output.request_id)
                    done.append((sample.place, self._completion(output.outputs[0], sampling, sample.seed)))
        return done

    def _run(self, prompts: list[list[int]], params: list[Any]) -> list[Any]:
        refuse_too_long(prompts, self._context_tokens)
        self._give_up()
        self._drop_prefix_cache()
        if not prompts:
            return []
        return self._engine.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)

    def _completion(self, output: Any, sampling: SamplingParams, seed: int) -> Completion:
        token_ids = [int(token) for token in output.token_ids]
        logprobs = [float(row[token].logprob) for token, row in zip(token_ids, output.logprobs, strict=True)]
        return self._decoder.completion(
            token_ids=token_ids,
            logprobs=logprobs,
            stop_token_ids=sampling.stop_token_ids,
            version=self._version,
            seed=seed,
        )

    def score(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        params = vllm.SamplingParams(
            temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False, skip_reading_prefix_cache=True
        )
        outputs = self._run([list(sequence) for sequence in sequences], [params] * len(sequences))
        scored = []
        for output, sequence, start in zip(outputs, sequences, starts, strict=True):
            rows = output.prompt_logprobs
            scored.append(
                [float(rows[position][sequence[position]].logprob) for position in range(start, len(sequence))]
            )
        return scored

    def next_token_logprobs(self, prompts: Sequence[Sequence[int]], token_ids: Sequence[int]) -> list[list[float]]:
        labels = list(token_ids)
        if len(labels) > _MAX_LABELS:
            raise StageError(f"{len(labels)} labels asked for, at most {_MAX_LABELS} can be scored at once")
        params = vllm.SamplingParams(
            temperature=0.0, max_tokens=1, logprobs=len(labels), logprob_token_ids=labels, detokenize=False
        )
        outputs = self._run([list(prompt) for prompt in prompts], [params] * len(prompts))
        return [[float(output.outputs[0].logprobs[0][label].logprob) for label in labels] for output in outputs]


def _shared_memory() -> str | None:
    """A folder in memory that processes of this machine share; None (the folder for temporary files) where there is
    none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _main(model_dir: str) -> None:
    """For servable.py: the last line is "served", or why vLLM would not take this model."""
    from vllm.config import ModelConfig

    try:
        ModelConfig(model=model_dir, skip_tokenizer_init=True)
    except (ValueError, OSError, ImportError) as error:
        print(" ".join(str(error).split()).partition(" Supported architectures:")[0][:300])
        return
    print("served")


if __name__ == "__main__":
    _main(*sys.argv[1:])
