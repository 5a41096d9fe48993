"""Tokens that a recipe adds to its base (`chat.add_tokens`): rows of the embedding, and the tokenizer published.

The first stage does this once; its checkpoint has the tokens, and the stages behind it find nothing to add.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from posttrain.data.template import ChatTemplate
from posttrain.errors import RecipeError


def grow_embedding(model: Any, template: ChatTemplate, *, where: str) -> None:
    """Give each added token a row, the mean of the rows there are: no seed has a say in it. Raises RecipeError under
    LoRA, which would leave the rows as they are."""
    if not template.added:
        return
    if hasattr(model, "peft_config"):
        raise RecipeError(
            f"the tokens {', '.join(template.added)} are new to the base, and LoRA does not train an embedding",
            where=where,
            remedy="set adapter: full in the first stage",
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(template.tokenizer) <= rows:
        return  # a padded embedding has rows to spare
    model.resize_token_embeddings(len(template.tokenizer), mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None:
                layer.weight[rows:] = layer.weight[:rows].mean(dim=0)


def publish_tokens(template: ChatTemplate, folder: Path) -> None:
    """Write the tokenizer with its added tokens beside the model, in place of the base's."""
    if template.added:
        chat_template = (folder / "chat_template.jinja").read_bytes()
        template.tokenizer.save_pretrained(str(folder))
        (folder / "chat_template.jinja").write_bytes(chat_template)
