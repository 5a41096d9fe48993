"""A verifier's model, opened on first use. A batch that fails is tried once more, prompt by prompt.

One prompt that a model cannot serve must not cost its neighbours their verdicts. Knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rewards.errors import VerifierError
from rewards.types import JudgeModel, NoReply

GIVE_UP_AFTER = 4  # prompts: when so many fail one by one, from the first on, the model is gone

T = TypeVar("T")


class LazyModel:
    """Gives every reply, or `NoReply` in its place. Raises VerifierError, and nothing else, where the recipe is wrong:
    no such model, no key, a label of several tokens."""

    def __init__(self, open_model: Callable[[], JudgeModel]) -> None:
        self._open = open_model
        self._model: JudgeModel | None = None

    def complete(self, prompts: list[str], *, max_tokens: int) -> list[str | NoReply]:
        return self._each(prompts, lambda model, some: model.complete(some, max_tokens=max_tokens))

    def label_logprobs(self, prompts: list[str], labels: list[str]) -> list[Sequence[float] | NoReply]:
        """[B][L]; see JudgeModel.label_logprobs."""
        return self._each(prompts, lambda model, some: model.label_logprobs(some, labels))

    def _each(
        self, prompts: list[str], query: Callable[[JudgeModel, list[str]], Sequence[T | NoReply]]
    ) -> list[T | NoReply]:
        if not prompts:
            return []
        whole = self._try(prompts, query)
        if not isinstance(whole, NoReply):
            return list(whole)
        replies: list[T | NoReply] = []
        for prompt in prompts:
            if len(replies) >= GIVE_UP_AFTER and all(isinstance(reply, NoReply) for reply in replies):
                replies.append(replies[-1])
                continue
            alone = self._try([prompt], query)
            replies.append(alone if isinstance(alone, NoReply) else alone[0])
        return replies

    def _try(
        self, prompts: list[str], query: Callable[[JudgeModel, list[str]], Sequence[T | NoReply]]
    ) -> Sequence[T | NoReply] | NoReply:
        try:
            if self._model is None:
                self._model = self._open()
            replies = query(self._model, prompts)
        except VerifierError:
            raise
        except Exception as error:  # noqa: BLE001  a model behind an endpoint or an actor may fail in any way; it becomes `error`, counted
            return NoReply(reason=f"{type(error).__name__}: {error}"[:300])
        if len(replies) != len(prompts):
            return NoReply(reason=f"{len(replies)} replies for {len(prompts)} prompts")
        return replies
