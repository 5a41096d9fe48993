"""config.json and generation_config.json of a model that we publish: the base's own, changed only where the recipe or
the weights say so.

The library writes both from its own view of the model: keys renamed, defaults added, its version in place of the one
that the base names. Whoever compares the two files should see what training changed. Knows nothing of weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError

CONFIG, GENERATION = "config.json", "generation_config.json"
_DTYPES = ("dtype", "torch_dtype")
_IDS = ("bos_token_id", "pad_token_id")
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def write_config(source: Path, out: Path, model: Any, dtype: str) -> None:
    """The source's config.json in `out`, with the dtype of the weights; and with sizes of the model where they
    changed."""
    config = _read(source / CONFIG)
    _write(out / CONFIG, _with_changes(config, model, dtype))


def _with_changes(config: Mapping[str, Any], model: Any, dtype: str) -> dict[str, Any]:
    changed = {key: dtype if key in _DTYPES else value for key, value in config.items()}
    inner = changed
    if isinstance(config.get("text_config"), dict):
        inner = {key: dtype if key in _DTYPES else value for key, value in config["text_config"].items()}
        changed["text_config"] = inner
    if dtype != "float32" and not any(key in part for part in (changed, inner) for key in _DTYPES):
        changed["dtype"] = dtype  # without a word engines take it for float32
    if "vocab_size" in inner:
        inner["vocab_size"] = model.config.get_text_config().vocab_size
    return changed


def write_generation_config(source: Path, out: Path, stop_ids: Sequence[int]) -> None:
    """The source's generation_config.json in `out`, with the recipe's stop ids, repaired where it is invalid."""
    _write(out / GENERATION, generation_settings(source)[0] | {"eos_token_id": list(stop_ids)})


def generation_settings(source: Path) -> tuple[dict[str, Any], str | None]:
    """The settings that a model generates with, and what had to be repaired in them, in words.

    Example: ({"do_sample": True, "temperature": 0.6}, "generation_config.json sets temperature without do_sample:
    published with do_sample true")
    """
    if not (source / GENERATION).is_file():
        config = _read(source / CONFIG)
        return {key: config[key] for key in _IDS if config.get(key) is not None}, None
    settings = _read(source / GENERATION)
    fault = _fault(settings)
    if fault is None:
        return settings, None
    given = ", ".join(key for key in _SAMPLING if key in settings)
    sampled = settings | {"do_sample": True}
    if settings.get("temperature", 1.0) and _fault(sampled) is None:
        # Whoever wrote a temperature meant it to be used, and vLLM uses it whatever do_sample says.
        return sampled, f"{GENERATION} sets {given} without do_sample: published with do_sample true"
    greedy = {key: value for key, value in settings.items() if key not in (*_SAMPLING, "do_sample")}
    if _fault(greedy) is None:
        return greedy, f"{GENERATION} is greedy and sets {given}: published without"
    ids = {key: settings[key] for key in _IDS if isinstance(settings.get(key), int) and settings[key] >= 0}
    return ids, f"{GENERATION} is invalid ({fault}): published with token ids alone"


def _fault(settings: Mapping[str, Any]) -> str | None:
    """Why transformers would not save these settings, or None."""
    from transformers import GenerationConfig

    try:
        GenerationConfig(**settings).validate(strict=True)
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())[:200]
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"not JSON: {error}", where=str(path), remedy="download or save it again") from error
    if not isinstance(value, dict):
        raise CheckpointError("holds no object", where=str(path), remedy="download or save it again")
    return value


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
