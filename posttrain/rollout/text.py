"""Token ids to a `Completion`: the one place where an engine's output becomes the record that flows on.

Decoding keeps special tokens, so that `<think>` is seen. Knows no chat template and imports transformers only when a
decoder is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posttrain.errors import CheckpointError, DataError
from posttrain.types import Completion, Segment, StopReason


def answer_budget(prompt_tokens: int, max_tokens: int, context_tokens: int) -> int:
    """Tokens an answer may have: max_tokens, or what the context leaves. Raises DataError where it leaves nothing."""
    if prompt_tokens >= context_tokens:
        raise DataError(
            f"a prompt of {prompt_tokens} tokens leaves no room for an answer in a context of {context_tokens}",
            where="engine.context_tokens",
            remedy="raise it, or drop the prompt",
        )
    return min(max_tokens, context_tokens - prompt_tokens)


def refuse_too_long(sequences: Sequence[Sequence[int]], context_tokens: int) -> None:
    """Raise DataError where a sequence to be scored is longer than the context: it is never cut in silence."""
    longest = max((len(sequence) for sequence in sequences), default=0)
    if longest > context_tokens:
        raise DataError(
            f"a sequence of {longest} tokens does not fit a context of {context_tokens}",
            where="engine.context_tokens",
            remedy="raise it, or shorten what is to be scored",
        )


class Decoder:
    """The tokenizer of a checkpoint, used in one direction only."""

    def __init__(self, model_dir: str) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model_dir)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"no tokenizer can be read: {error}",
                where=model_dir,
                remedy="put the tokenizer's files beside the weights",
            ) from error

    def text(self, token_ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        )

    def completion(
        self,
        *,
        token_ids: Sequence[int],
        logprobs: Sequence[float],
        stop_token_ids: Sequence[int],
        version: str,
        seed: int,
    ) -> Completion:
        """token_ids: [T], logprobs: [T]. A stop token in last place ends the turn: it stays in the tokens and leaves
        the text."""
        stopped = bool(token_ids) and token_ids[-1] in set(stop_token_ids)
        return Completion(
            segments=(Segment(token_ids=tuple(token_ids), logprobs=tuple(logprobs)),),
            text=self.text(token_ids[:-1] if stopped else token_ids),
            stop_reason=StopReason.STOP if stopped else StopReason.LENGTH,
            policy_version=version,
            seed=seed,
        )
