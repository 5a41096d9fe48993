"""A recipe like a shipped one that fits the GPUs at hand: layouts are tried until one passes, the least changed first.

Changed are `hardware`, `cluster`, the engines' share, and only where nothing else helps lengths (halved up to three
times) and `adapter` (LoRA). The teacher is taken to be as large as the base. Knows no torch; hashes no weights.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import InputError, RecipeError
from posttrain.plan.estimate import estimate
from posttrain.plan.hardware import Misfit, look
from posttrain.plan.steps import build_plan
from posttrain.recipe import load_recipe
from posttrain.recipe.new import new_recipe, with_value
from posttrain.recipe.paths import full_path
from posttrain.recipe.positions import longest_rows
from posttrain.recipe.schema import Shape
from posttrain.recipe.sizes import decoder, num_positions
from posttrain.store.artefacts import Store

LORA = "{rank: 32, alpha: 64.0}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """One way to spread a recipe over GPUs.

    Example: Layout(trainers=4, engines=5, share=0.85, shorter=1, lora=False)
    """

    trainers: int
    engines: int
    share: float
    shorter: int
    lora: bool

    def said(self) -> str:
        """Example: "4 trainers and 5 engines a role take turns on the same GPUs"."""
        parts = [f"{self.trainers} trainers and {self.engines} engines a role take turns on the same GPUs"]
        if self.shorter > 1:
            parts.append(f"lengths divided by {self.shorter}")
        if self.lora:
            parts.append("LoRA, whose learning rates are commonly ten times those of full training")
        return "; ".join(parts)


def new_fitting_recipe(
    *, base: str, revision: str | None, like: str, name: str | None, out: Path, gpus: int, gpu_memory_gb: float
) -> Layout:
    """Write `out` as recipe/new.py does, laid out so that `plan` finds that it fits. Raises InputError where no layout
    does, with what would be needed, and where the base's config.json is not here."""
    config = _config(base)
    shape = {key: value for key, value in config.items() if key in Shape.model_fields and value is not None}
    hardware = f"{{nodes: 1, gpus: {gpus}, gpu_memory_gb: {gpu_memory_gb:g}}}"
    told: Misfit | None = None
    most = (False, 0)
    for layout in _layouts(gpus):

        def edited(text: str, layout: Layout = layout) -> str:
            return _edited(text, layout, hardware, shape)

        found = _misfit(like, lambda text: with_value(edited(text), "base", f"{{shape: {json.dumps(shape)}}}"), config)
        if found is None:
            new_recipe(base=base, revision=revision, like=like, name=name, out=out, edit=edited)
            return layout
        # Told of is the first of those that were changed most: it comes nearest.
        told = found if told is None or (layout.lora, layout.shorter) > most else told
        most = max(most, (layout.lora, layout.shorter))
    assert told is not None, "there is at least one layout"
    raise InputError(
        f"no layout of '{like}' with this base fits {gpus} GPUs of {gpu_memory_gb:g} GB: {told.what}",
        where="--gpus",
        remedy=f"{told.remedy}; or start from a smaller recipe with --like",
    )


def _config(base: str) -> dict[str, Any]:
    path = full_path(base, Path.cwd()) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the base's sizes are not known: {error}",
            where="--base",
            remedy="give a folder with a config.json (of a hub id, download that file), or leave --gpus out",
        ) from None
    if not isinstance(config, dict) or decoder(config) is None:
        raise InputError(
            f"{path} does not state the sizes of a decoder of the Llama family",
            where="--base",
            remedy="leave --gpus out, and state hardware in the recipe by hand",
        )
    return config


def _layouts(gpus: int) -> Iterator[Layout]:
    """From what changes least to what changes most. Trainers are a power of two, which batch sizes divide by."""
    for lora in (False, True):
        for shorter in (1, 2, 4, 8):
            for trainers in (2**power for power in range(10, -1, -1) if 2**power <= gpus):
                yield Layout(trainers=trainers, engines=gpus, share=0.85, shorter=shorter, lora=lora)


def _edited(text: str, layout: Layout, hardware: str, shape: Mapping[str, Any]) -> str:
    cluster = (
        f"{{address: local, share: time, trainers: {layout.trainers}, engines: {layout.engines}, "
        "gpus_per_trainer: 1, gpus_per_engine: 1"
        # by itself a LoRA's trainers share the frozen weights only where these fill half a GPU
        f"{', sharding: fsdp' if layout.lora and layout.trainers > 1 else ''}}}"
    )
    text = with_value(text, "cluster", cluster)
    text = with_value(text, "hardware", hardware)
    text = re.sub(r", gpu_memory_share: [\d.]+", "", text)
    text = re.sub(r"(?m)^engine: \{", f"engine: {{gpu_memory_share: {layout.share:g}, ", text, count=1)
    text = re.sub(
        r"shape: \{[^}]*\}([ \t]*#.*)?",
        lambda _: f"shape: {json.dumps(shape)}   # as large as the base, to plan with: yours may differ",
        text,
    )
    if layout.shorter > 1:
        text = re.sub(
            r"\b((?:max|context)_tokens: )(\d+)", lambda found: f"{found[1]}{int(found[2]) // layout.shorter}", text
        )
    if layout.lora and "adapter:" not in text:
        text = re.sub(r"(?m)^( +)(gradient_checkpointing: true)$", rf"\1\2\n\1adapter: {LORA}", text)
        text = text.replace("gradient_checkpointing: true}", f"gradient_checkpointing: true, adapter: {LORA}}}")
    return text


def _misfit(like: str, edit: Any, config: Mapping[str, Any]) -> Misfit | None:
    """Why the edited recipe does not fit; None where it does. Its base is a shape, so that no weights are hashed."""
    with tempfile.TemporaryDirectory(prefix="posttrain-new-") as folder:
        out = Path(folder) / "recipe.yaml"
        new_recipe(base="toy", revision=None, like=like, name="trial", out=out, edit=edit)
        try:
            loaded = load_recipe(out)
        except RecipeError as error:  # a micro-batch that so many trainers cannot share
            return Misfit(key=("cluster", "trainers"), what=error.what, remedy=error.remedy or "")
        plan = build_plan(loaded, Store(Path(folder) / "store").digests, may_lack=True)
        wanted, positions = longest_rows(plan.recipe, plan.recipe.stages), num_positions(config)
        for key, tokens in wanted.items():
            if positions is not None and tokens > positions:
                return Misfit(
                    key=(key,), what=f"{key} is {tokens}, the base knows {positions} positions", remedy="lower it"
                )
        verdict = look(plan, estimate(plan))
    assert verdict.fits is not None, "hardware and sizes are stated"
    return verdict.misfits[0] if verdict.misfits else None
