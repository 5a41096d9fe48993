"""Preference pairs as token ids, and one forward pass over both of their answers.

    pair_rows(job, template)                   what the pairs step published, as PairRows
    pair_batch(rows, device)                   good answers, then bad ones, right-padded
    over_trained(model, batch, function)       the function of the states before each token of the answers

Knows no loss and no reference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from posttrain.data.source import read_pairs
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.train.job import Job
from posttrain.train.losses.head import Head, States
from posttrain.train.trainer import pad_right
from posttrain.types import EncodedPrompt, PreferencePair, Prompt

SIDES = ("chosen", "rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRow:
    """A pair as token ids; answers end with the stop token. number: its place in the file of pairs, from 0; name: which
    pair it is, for messages; asked: its prompt; kd_chosen, kd_rejected: tokens that the teacher's KL is taken on.

    Example: PairRow(number=3, name="prompt p/9 of data 'stem'", asked=EncodedPrompt(...), chosen=(4, 2), rejected=(5,
    5, 2), kd_chosen=2, kd_rejected=3)
    """

    number: int
    name: str
    asked: EncodedPrompt
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    kd_chosen: int
    kd_rejected: int

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.asked.ids

    @property
    def domain(self) -> str:
        """The data set of its prompt."""
        return self.asked.prompt.source

    def answers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """In the order of SIDES."""
        return self.chosen, self.rejected


def pair_rows(job: Job, template: ChatTemplate, skipped: Collection[int] = ()) -> list[PairRow]:
    """The pairs of a stage. skipped: token ids that no KL is taken on. Raises DataError: none, or one that the template
    refuses."""
    path = job.inputs["pairs"] / "pairs.jsonl"
    pairs = read_pairs(path, job.step_name)
    if not pairs:
        raise DataError(
            "no pair was kept", where=job.step_name, remedy="give more prompts or samples, or a stronger teacher"
        )
    rows = []
    for number, pair in enumerate(pairs):
        try:
            rows.append(_pair_row(number, pair, template, skipped))
        except DataError as error:
            what = f"row {number + 1} of the pairs (prompt {pair.id} of data '{pair.source}'): {error.what}"
            raise DataError(what, where=f"{path}:{number + 1}", remedy=error.remedy) from error
    return rows


def _pair_row(number: int, pair: PreferencePair, template: ChatTemplate, skipped: Collection[int]) -> PairRow:
    """What the prompt opens of the reasoning is the prompt's, and no token of the answers."""
    prompt = template.prompt_text(pair.messages, pair.tools)
    opened = template.opened(prompt)
    chosen, rejected = (
        tuple(template.answer_ids(text.removeprefix(opened), prompt)) for text in (pair.chosen, pair.rejected)
    )
    asked = Prompt(id=pair.id, source=pair.source, messages=pair.messages, tools=pair.tools)
    kept = [sum(token not in skipped for token in answer) for answer in (chosen, rejected)]
    return PairRow(
        number=number,
        name=f"prompt {pair.id} of data '{pair.source}'",
        asked=EncodedPrompt(prompt=asked, ids=tuple(template.prompt_ids(pair.messages, pair.tools)), opened=opened),
        chosen=chosen,
        rejected=rejected,
        kd_chosen=kept[0],
        kd_rejected=kept[1],
    )


def answer_batch(rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], device: Any) -> dict[str, torch.Tensor]:
    """(prompt, answer) rows as a right-padded batch. `trained` [B, T-1] marks positions whose NEXT token belongs to the
    answer."""
    ids = pad_right([[*prompt, *answer] for prompt, answer in rows], 0, torch.long)
    attention = pad_right([[1] * (len(prompt) + len(answer)) for prompt, answer in rows], 0, torch.long)
    trained = pad_right([[0] * (len(prompt) - 1) + [1] * len(answer) for prompt, answer in rows], 0, torch.bool)
    return {"input_ids": ids.to(device), "attention_mask": attention.to(device), "trained": trained.to(device)}


def pair_batch(rows: Sequence[PairRow], device: Any) -> dict[str, torch.Tensor]:
    """The good answers of all rows, then the bad ones."""
    return answer_batch([(p.prompt, p.chosen) for p in rows] + [(p.prompt, p.rejected) for p in rows], device)


def over_trained(model: Any, batch: dict[str, torch.Tensor], function: Callable[[States, torch.Tensor], Any]) -> Any:
    """What `function` makes of the states at the positions marked trained and of their N next tokens. `model` was given
    to open_head."""
    targets = batch["input_ids"][:, 1:][batch["trained"]]

    def over_hidden(hidden_BTH: torch.Tensor, head: Head) -> Any:
        return function(States(hidden_NH=hidden_BTH[:, :-1][batch["trained"]], head=head), targets)

    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], over_hidden=over_hidden)


def answer_sums(logprobs_N: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed log-probability of each row's answer [B]."""
    rows = batch["trained"].nonzero()[:, 0]
    return logprobs_N.new_zeros(batch["trained"].shape[0]).index_add(0, rows, logprobs_N)
