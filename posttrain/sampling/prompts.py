"""The prompts of a step: read, their golds checked, encoded once, drawn by weight. One that cannot be asked is a faulty
row.

Knows no engine. An encoded prompt goes on its way as it is: sampling, training and the record use its token ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from posttrain.data.mix import draw
from posttrain.data.source import Fault, Rows, load_prompts, set_aside
from posttrain.errors import DataError
from posttrain.recipe.schema import Data
from posttrain.sampling.job import PromptMixture
from posttrain.types import EncodedPrompt, Message, Prompt

Loader = Callable[[str, Data, Path], Rows[Prompt]]


class PromptEncoder(Protocol):
    """What sampling needs of a chat template."""

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]: ...

    def opened_by(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str: ...


def encode(prompt: Prompt, encoder: PromptEncoder, context_tokens: int) -> EncodedPrompt:
    """Raises DataError: the template refuses the prompt, or it leaves no room for an answer in the context."""
    ids = tuple(encoder.prompt_ids(prompt.messages, prompt.tools))
    where = f"{prompt.source}, row {prompt.id}"
    if not ids:
        raise DataError("the prompt is empty once encoded", where=where, remedy="give it some text")
    if len(ids) >= context_tokens:
        raise DataError(
            f"{len(ids)} tokens leave no room for an answer in engine.context_tokens: {context_tokens}",
            where=where,
            remedy="raise engine.context_tokens, or give a shorter prompt",
        )
    return EncodedPrompt(prompt=prompt, ids=ids, opened=encoder.opened_by(prompt.messages, prompt.tools))


def encode_rows(
    rows: Rows[Prompt], data: Data, encoder: PromptEncoder, context_tokens: int
) -> tuple[list[EncodedPrompt], Rows[Prompt]]:
    """Prompts that can be asked, and the rows with the others among the faulty ones. Raises DataError above the stated
    share of faulty rows."""
    encoded: list[EncodedPrompt] = []
    reasons: list[str | None] = []
    for prompt in rows.items:
        try:
            encoded.append(encode(prompt, encoder, context_tokens))
            reasons.append(None)
        except DataError as error:
            reasons.append(error.what)
    return encoded, set_aside(rows, data, reasons)


def checked_prompts(
    name: str,
    data: Data,
    recipe_dir: Path,
    scorer: Any,
    verifier: str | Mapping[str, str],
    *,
    load: Loader = load_prompts,
) -> Rows[Prompt]:
    """Prompts whose golds their verifier can use; the others are faulty rows, and above the stated share the run stops
    here."""
    rows = load(name, data, recipe_dir)
    return set_aside(rows, data, scorer.gold_problems(verifier, rows.items))


def pick_prompts(
    mixture: PromptMixture, scorer: Any, encoder: PromptEncoder, *, load: Loader = load_prompts
) -> tuple[list[EncodedPrompt], dict[str, Sequence[Fault]]]:
    """All prompts of one data set, or a mixture as long as its weights allow. Also the faulty rows by data set."""
    pools: dict[str, list[EncodedPrompt]] = {}
    faults: dict[str, Sequence[Fault]] = {}
    for name in sorted(mixture.weights):
        spec = mixture.data[name]
        rows = checked_prompts(name, spec, mixture.recipe_dir, scorer, mixture.verifier, load=load)
        pools[name], read = encode_rows(rows, spec, encoder, mixture.context_tokens)
        faults[name] = read.faults
    if len(pools) == 1:
        return next(iter(pools.values())), faults
    scale = sum(mixture.weights.values())
    total = int(min(len(rows) * scale / mixture.weights[name] for name, rows in pools.items()))
    return draw(pools, mixture.weights, total, mixture.seed), faults
