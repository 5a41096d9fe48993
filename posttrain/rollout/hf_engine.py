"""The rollout engine on transformers alone, for machines where vLLM has no wheel: slower, the same protocol.

Batches are padded on the left and share one key-value cache; every row draws from a generator of its own, so that a
sample does not depend on who else is in the batch. Finished rows leave it. Knows nothing of actors and does not judge
its own weights.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from posttrain.errors import CheckpointError, StageError
from posttrain.recipe.sizes import check_positions
from posttrain.rollout.causal import load_causal, refuse_unbatchable
from posttrain.rollout.dispatch import Sample
from posttrain.rollout.engine import EngineHealth, EngineOptions
from posttrain.rollout.identity import Held, held_of
from posttrain.rollout.text import Decoder, answer_budget, refuse_too_long
from posttrain.rollout.weights import (
    checkpoint_names_differ,
    checkpoint_weights,
    iterate_weights,
    read_companions,
    read_config,
    write_checkpoint,
)
from posttrain.types import Completion, GenerationRequest, SamplingParams

_ROWS = 128  # rows decoded together


class _Row:
    """One sample under way. tokens and logprobs grow to [T], at most `budget`."""

    def __init__(self, prompt_ids: Sequence[int], seed: int, budget: int, device: torch.device) -> None:
        self.budget = budget
        self.prompt_ids = list(prompt_ids)
        self.seed = seed
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.tokens: list[int] = []
        self.logprobs: list[float] = []


class HfEngine:
    """Engine protocol over one transformers model. Options as for VllmEngine; the cache sizes are not used."""

    def __init__(self, model_dir: str, version: str, options: EngineOptions = EngineOptions()) -> None:  # noqa: B008 - frozen
        on_gpu = options.device.startswith("cuda") if options.device != "auto" else torch.cuda.is_available()
        self._device = torch.device("cuda" if on_gpu else "cpu")
        self._dtype = ("bfloat16" if on_gpu else "float32") if options.dtype == "auto" else options.dtype
        self._context_tokens = options.context_tokens
        self.on_step: Callable[..., None] = lambda *_: None
        self._start(model_dir, version)

    # ------------------------------------------------------------ life and weights

    def _start(self, model_dir: str, version: str) -> None:
        self._decoder = Decoder(model_dir)
        self._config = read_config(model_dir)
        check_positions(self._config, {"engine.context_tokens": self._context_tokens}, model_dir)
        self._model: Any = load_causal(model_dir, self._dtype).to(self._device).eval()
        refuse_unbatchable(self._net.config, model_dir)
        self._companions = read_companions(model_dir)
        self._version = version

    @property
    def _net(self) -> Any:
        if self._model is None:
            raise StageError("the rollout engine was closed", remedy="ask the machine for it again")
        return self._model

    def close(self) -> None:
        self._model = None

    def rebuild(self, model_dir: str, version: str) -> None:
        self.close()
        self._start(model_dir, version)

    def sleep(self) -> None:
        self._net.to("cpu")
        if self._device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def wake(self) -> None:
        self._net.to(self._device)

    def abandon(self) -> None:
        self.sleep()

    def health(self) -> EngineHealth:
        return EngineHealth(
            backend="hf", version=self._version, device=self._device.type, dtype=self._dtype, pid=os.getpid()
        )

    def load(self, model_dir: str, version: str) -> None:
        self.update_weights(dict(iterate_weights(model_dir)), version)

    def update_weights(self, weights: Mapping[str, Any], version: str) -> None:
        if checkpoint_names_differ(self._config):
            with tempfile.TemporaryDirectory(prefix="posttrain-rebuild-") as folder:
                self.rebuild(str(write_checkpoint(self._companions, weights, Path(folder))), version)
            return
        missing, unexpected = self._net.load_state_dict(dict(weights), strict=False)
        missing = [
            name
            for name in missing
            if not (name == "lm_head.weight" and self._config.get("tie_word_embeddings", False))
        ]
        if missing or unexpected:
            raise CheckpointError(
                f"weights do not fit the engine: missing {missing[:3]}, unexpected {list(unexpected)[:3]}",
                remedy="hand over the same shape",
            )
        self._version = version

    def checksums(self) -> dict[str, Held]:
        return held_of(checkpoint_weights(self._net).items())

    # ------------------------------------------------------------ sampling

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
        rows = []
        for request in requests:
            budget = answer_budget(len(request.prompt_ids), sampling.max_tokens, self._context_tokens)
            rows.append([_Row(request.prompt_ids, seed, budget, self._device) for seed in request.seeds])
        flat = sorted((row for group in rows for row in group), key=lambda row: len(row.prompt_ids))  # little padding
        for start in range(0, len(flat), _ROWS):
            self.on_step(True)
            self._decode(flat[start : start + _ROWS], sampling)
        return [
            [
                self._decoder.completion(
                    token_ids=row.tokens,
                    logprobs=row.logprobs,
                    stop_token_ids=sampling.stop_token_ids,
                    version=self._version,
                    seed=row.seed,
                )
                for row in group
            ]
            for group in rows
        ]

    def advance(
        self, new: Sequence[Sample], sampling: SamplingParams, *, fresh: bool, at_least: int
    ) -> list[tuple[int, Completion]]:
        """All of the new ones at once: nothing stays under way between two calls."""
        requests = [GenerationRequest(prompt_ids=sample.prompt_ids, seeds=(sample.seed,)) for sample in new]
        answers = self.generate(requests, sampling)
        return [(sample.place, answer[0]) for sample, answer in zip(new, answers, strict=True)]

    @torch.no_grad()
    def _decode(self, rows: list[_Row], sampling: SamplingParams) -> None:
        stops = set(sampling.stop_token_ids)
        longest = max(len(row.prompt_ids) for row in rows)
        ids_BT = torch.zeros(len(rows), longest, dtype=torch.long)
        mask_BT = torch.zeros(len(rows), longest, dtype=torch.long)
        for index, row in enumerate(rows):
            ids_BT[index, longest - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
            mask_BT[index, longest - len(row.prompt_ids) :] = 1
        ids_BT, mask_BT = ids_BT.to(self._device), mask_BT.to(self._device)
        positions_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self._net.config)
        while rows:
            logits_BV = self._net(
                input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions_BT, past_key_values=cache,
                logits_to_keep=1
            ).logits[:, -1].float()  # fmt: skip
            chosen_B = _draw(logits_BV, rows, sampling)
            logprobs_BV = torch.log_softmax(logits_BV / (sampling.temperature or 1.0), dim=-1)
            logprobs_B = logprobs_BV.gather(-1, chosen_B[:, None])[:, 0]
            keep = []
            for index, (row, token, logprob) in enumerate(
                zip(rows, chosen_B.tolist(), logprobs_B.tolist(), strict=True)
            ):
                row.tokens.append(token)
                row.logprobs.append(logprob)
                if token not in stops and len(row.tokens) < row.budget:
                    keep.append(index)
            if len(keep) < len(rows):
                kept = torch.tensor(keep, dtype=torch.long, device=self._device)
                rows = [rows[index] for index in keep]
                chosen_B, mask_BT, positions_BT = chosen_B[kept], mask_BT[kept], positions_BT[kept]
                cache.batch_select_indices(kept)
            ids_BT = chosen_B[:, None]
            mask_BT = torch.cat([mask_BT, torch.ones_like(ids_BT)], dim=-1)
            positions_BT = positions_BT[:, -1:] + 1
            self.on_step()

    # ------------------------------------------------------------ scoring

    @torch.no_grad()
    def score(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        refuse_too_long(sequences, self._context_tokens)
        scored = []
        for sequence, start in zip(sequences, starts, strict=True):
            logprobs_TV = torch.log_softmax(
                self._net(input_ids=torch.tensor([list(sequence)], device=self._device)).logits[0].float(), dim=-1
            )
            targets = torch.tensor(list(sequence[start:]), device=self._device)
            scored.append(logprobs_TV[start - 1 : len(sequence) - 1].gather(-1, targets[:, None])[:, 0].tolist())
            self.on_step(True)
        return scored

    @torch.no_grad()
    def next_token_logprobs(self, prompts: Sequence[Sequence[int]], token_ids: Sequence[int]) -> list[list[float]]:
        refuse_too_long(prompts, self._context_tokens)
        labels = torch.tensor(list(token_ids), device=self._device)
        rows = []
        for prompt in prompts:
            logits_V = (
                self._net(input_ids=torch.tensor([list(prompt)], device=self._device), logits_to_keep=1)
                .logits[0, -1]
                .float()
            )
            rows.append(torch.log_softmax(logits_V, dim=-1)[labels].tolist())
            self.on_step(True)
        return rows


def _draw(logits_BV: torch.Tensor, rows: Sequence[_Row], sampling: SamplingParams) -> torch.Tensor:
    """One token a row [B]: greedy at temperature 0, else from the nucleus, each row with its own generator."""
    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    probabilities_BV = torch.softmax(logits_BV / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        ordered_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True)
        outside_BV = ordered_BV.cumsum(-1) - ordered_BV >= sampling.top_p  # the token that crosses the border stays in
        probabilities_BV = probabilities_BV.scatter(-1, order_BV, ordered_BV.masked_fill(outside_BV, 0.0))
    noise_BV = torch.empty_like(probabilities_BV)
    for index, row in enumerate(rows):
        noise_BV[index].exponential_(generator=row.generator)
    return (probabilities_BV / noise_BV).argmax(-1)  # exponential race: token v wins with probability p_v
