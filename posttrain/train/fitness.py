"""Is a base fit for the recipe? Checked in a worker before the first stage spends time. Also fetches a base from the hub."""

from __future__ import annotations

from pathlib import Path

from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError
from posttrain.recipe.schema import Chat


def fetch(path: str, revision: str) -> str:
    """Folder of a pinned hub snapshot; offline mode and caches are the hub library's. Raises CheckpointError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md"]  # the card states the licence
        return str(snapshot_download(path, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"'{path}' at {revision[:12]} cannot be fetched: {error}", where="base", remedy="download it and give its local folder"
        ) from error


def check_base(model: Path, chat: Chat, recipe_dir: Path) -> None:
    """Raises CheckpointError: no weights, tokenizer or template, think tags lost by the template, or a turn without a stop token."""
    if not (model / "config.json").is_file() or not list(model.glob("*.safetensors")):
        raise CheckpointError(
            "no config.json or no safetensors", where=str(model), remedy="give a folder saved by save_pretrained (safetensors only)"
        )
    template = ChatTemplate.load(model, chat, recipe_dir)
    answer = f"{chat.think[0]}one{chat.think[1]}two"
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]
    encoded = template.encode_conversation(turns)
    trained = [token for token, on in zip(encoded.ids, encoded.mask, strict=True) if on]
    text = template.decode(trained)
    if chat.think[0] not in text or chat.think[1] not in text:
        raise CheckpointError(
            f"the chat template drops {chat.think[0]} from the last answer: it renders {text!r}",
            where="chat.template",
            remedy="use a template that keeps reasoning",
        )
    if trained[-1] not in template.stop_ids:
        raise CheckpointError(
            f"an answer ends in {template.decode(trained[-1:])!r}, which is no stop token of the recipe",
            where="chat.stop",
            remedy="set chat.stop to the template's end of turn",
        )
