"""A checkpoint behind our engines, as data stages ask it: all that waits for it as one batch, each request under a seed
of its own.

Knows the chat template; nothing of rows, forms or files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.factory.asking import Answer, Ask, Refused, Reply
from posttrain.recipe.files import has_chat_template
from posttrain.recipe.schema import AskedModel, Chat
from posttrain.rollout.engine import Engine
from posttrain.sampling.prompts import encode
from posttrain.types import EncodedPrompt, GenerationRequest, Prompt, SamplingParams, StopReason


def own_chat(folder: Path, chat: Chat) -> Chat:
    """How a model made elsewhere is spoken to: by its own template where it brings one, else as the recipe says; the
    marks of another would be noise to it. Its turns end with its own stop tokens, and with the recipe's where it knows
    them: not every checkpoint names the token that ends a turn."""
    if not has_chat_template(folder, str(folder)):
        return chat
    from transformers import AutoTokenizer

    path = folder / "generation_config.json"
    stops = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    own = [
        str(tokenizer.convert_ids_to_tokens(token))
        for token in (stops if isinstance(stops, list) else [stops] if stops is not None else [])
    ]
    known = [name for name in chat.stop if name in tokenizer.get_vocab()]
    return chat.model_copy(update={"template": None, "stop": list(dict.fromkeys([*own, *known])), "add_tokens": False})


class EngineModel:
    """engine: with these weights in it; version: their name in records."""

    parallel = 0

    def __init__(
        self, engine: Engine, folder: Path, *, model: AskedModel, chat: Chat, recipe_dir: Path, context_tokens: int
    ) -> None:
        self._engine, self._model, self._context = engine, model, context_tokens
        chat = chat if model.stage is not None else own_chat(folder, chat)
        self._template = ChatTemplate.load(folder, chat, recipe_dir)
        self._version = engine.health().version

    def answer(self, asks: Sequence[Ask]) -> list[Answer]:
        """In order. A prompt that the template refuses, or that leaves no room, is refused alone."""
        encoded: list[EncodedPrompt | Refused] = [self._encoded(ask) for ask in asks]
        answers: dict[int, Answer] = {
            place: prompt for place, prompt in enumerate(encoded) if isinstance(prompt, Refused)
        }
        temperatures = sorted({ask.temperature for ask in asks})
        for temperature in temperatures:
            places = [
                place
                for place, ask in enumerate(asks)
                if ask.temperature == temperature and isinstance(encoded[place], EncodedPrompt)
            ]
            answers |= dict(zip(places, self._generate(asks, encoded, places, temperature), strict=True))
        return [answers[place] for place in range(len(asks))]

    def _encoded(self, ask: Ask) -> EncodedPrompt | Refused:
        prompt = Prompt(id=ask.place, source=str(ask.row), messages=ask.messages, tools=ask.tools)
        try:
            return encode(prompt, self._template, self._context)
        except DataError as error:
            return Refused(reason=error.what)

    def _generate(
        self, asks: Sequence[Ask], encoded: Sequence[EncodedPrompt | Refused], places: Sequence[int], temperature: float
    ) -> list[Reply]:
        if not places:
            return []
        sampling = SamplingParams(
            temperature=temperature,
            top_p=self._model.top_p,
            max_tokens=self._model.max_tokens,
            stop_token_ids=self._template.stop_ids,
        )
        chosen = [prompt for place in places if isinstance(prompt := encoded[place], EncodedPrompt)]
        requests = [
            GenerationRequest(prompt_ids=prompt.ids, seeds=(asks[place].seed,))
            for prompt, place in zip(chosen, places, strict=True)
        ]
        return [
            Reply(
                text=prompt.opened + completion.text,
                cut=completion.stop_reason is StopReason.LENGTH,
                prompt_tokens=len(prompt.ids),
                completion_tokens=completion.num_tokens,
                by=self._version,
            )
            for prompt, (completion,) in zip(chosen, self._engine.generate(requests, sampling), strict=True)
        ]

    def price(self, reply: Reply) -> float:
        """Our own engines charge nothing."""
        return 0.0

    def most_tokens(self, ask: Ask) -> tuple[int, int]:
        return 0, self._model.max_tokens
