"""The avg@k filter alone, on one checkpoint: which prompts it answers right now and then, for this or any other
trainer's RL.

    out/kept.jsonl     the prompts in the band, as rows: prompt (messages), gold, metadata with right and asked
    out/table.jsonl    every prompt with its counts
    out/summary.json   the histogram, answers a prompt
    out/unfinished/    answers so far, while it is under way: the same command goes on from them

Imports nothing heavy at module level.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import InputError, RecipeError
from posttrain.plan.seating import gpus_of
from posttrain.recipe.location import near
from posttrain.recipe.resolve import judge_stages
from posttrain.recipe.schema import Chat, Filter, Grpo, Recipe
from posttrain.records.codec import from_json
from posttrain.records.metrics import FILTER_SUMMARY, FILTER_TABLE, FilterSummary, decisions
from posttrain.run.one_checkpoint import chat_of, find_model, prompts_of, served
from posttrain.store.jsonl import write_lines
from posttrain.types import Prompt, SamplingParams

_STAGE, _UNFINISHED, _KEPT = "profile", "unfinished", "kept.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What to profile on: data and verifier by their names in the recipe, or a file of prompts and a kind of verifier.

    Example: Question(data="problems.jsonl", verifier="math", band=Filter(k=16), max_tokens=4096)
    """

    data: str
    verifier: str | None
    band: Filter
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 16384


def profile(
    checkpoint: Path, recipe: tuple[Recipe, Path] | None, question: Question, *, out: Path, logs: Path
) -> FilterSummary:
    """Filter prompts by a checkpoint, and write the kept ones with the table to `out`.

    Raises InputError: no such data or verifier, `out` holds a finished profile; RecipeError: the verifier asks a model
    of a run; StageError: no prompt is in the band (the table is written).
    """
    from posttrain.machine.machine import Machine
    from posttrain.sampling.filter import KEPT_PROMPTS, filter_prompts
    from posttrain.store.jsonl import read_lines

    folder = find_model(checkpoint)
    if (out / _KEPT).exists():
        raise InputError("a finished profile is here", where=str(out), remedy="give another folder, or remove it")
    whole, recipe_dir = _with_stage(folder, chat_of(checkpoint, recipe[0] if recipe else None), recipe, question)
    attempts = sorted((out / _UNFINISHED).glob("attempt-*")) if (out / _UNFINISHED).is_dir() else []
    attempt = out / _UNFINISHED / f"attempt-{len(attempts) + 1:03d}"
    published = attempt / "output"
    published.mkdir(parents=True)
    with Machine(whole, logs, seats=math.ceil(gpus_of(whole, ["policy"]))) as machine:
        job = _job(machine, whole, recipe_dir, folder, attempt, attempts)
        summary = machine.run_aside(filter_prompts, job, question.band)
    counted = [decision for decision in decisions(published / FILTER_TABLE) if decision.kept]
    kept = [from_json(Prompt, row, KEPT_PROMPTS) for row in read_lines(published / KEPT_PROMPTS)]
    for name in (FILTER_TABLE, FILTER_SUMMARY):
        shutil.copyfile(published / name, out / name)
    write_lines(out / _KEPT, (_row(prompt, count) for prompt, count in zip(kept, counted, strict=True)))
    shutil.rmtree(out / _UNFINISHED)
    return from_json(FilterSummary, summary, FILTER_SUMMARY)


def _job(machine: Any, recipe: Recipe, recipe_dir: Path, folder: Path, attempt: Path, earlier: list[Path]) -> Any:
    from posttrain.sampling.job import SAMPLES_PER_ENGINE, AnswerBatches, SamplingJob

    stage = recipe.stages[-1]
    assert isinstance(stage, Grpo) and isinstance(stage.prompts, str) and stage.filter is not None
    return SamplingJob(
        model=served(machine, folder),
        chat=recipe.chat,
        prompts=prompts_of(recipe, recipe_dir, stage.prompts, stage.verifier),
        scorer=machine.scorer(),
        sampling=SamplingParams(temperature=stage.temperature, top_p=stage.top_p, max_tokens=stage.max_tokens),
        samples=stage.filter.k,
        output=attempt / "output",
        batches=AnswerBatches(
            folder=attempt / "batches",
            earlier=tuple(one / "batches" for one in earlier),
            stop_file=attempt / "stop",
            samples=SAMPLES_PER_ENGINE,
        ),
    )


def _with_stage(
    folder: Path, chat: Chat, recipe: tuple[Recipe, Path] | None, question: Question
) -> tuple[Recipe, Path]:
    """A recipe whose last stage is RL on these prompts, with this filter; and the folder that its paths are relative
    to. Without a recipe one is made from the defaults."""
    import json

    parts: dict[str, Any] = {}
    if recipe is None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        own = int(config.get("max_position_embeddings", question.max_tokens))
        parts = {"schema": 1, "name": _STAGE, "base": {"path": str(folder)}, "chat": chat.model_dump()}
        parts |= {"engine": {"context_tokens": own}, "stages": []}
    else:
        parts = recipe[0].model_dump(by_alias=True)
    recipe_dir = recipe[1] if recipe else Path.cwd()
    data, verifier = question.data, question.verifier
    if data not in parts.get("data", {}):
        if not Path(data).exists():
            raise InputError(
                f"no data set '{data}' in the recipe, and no file of this name",
                where="--data",
                remedy=near(data, list(parts.get("data", {}))) if recipe else "give a file of prompts",
            )
        spec = {"source": "file", "path": str(Path(data).absolute()), "card": ""}
        parts["data"] = {**parts.get("data", {}), "profiled": spec}
        data = "profiled"
    verifier = verifier or _its_verifier(recipe, question.data)
    if verifier not in parts.get("verifiers", {}):
        parts["verifiers"] = {**parts.get("verifiers", {}), "profiled": {"kind": verifier}}
        verifier = "profiled"
    stage: dict[str, Any] = {"kind": "grpo", "name": _STAGE, "prompts": data, "verifier": verifier}
    stage |= {"filter": question.band.model_dump(), "temperature": question.temperature, "top_p": question.top_p}
    stage |= {"max_tokens": question.max_tokens}
    parts["stages"] = [*parts["stages"], stage]
    whole = Recipe.model_validate(parts, strict=False)
    if judge_stages(whole.verifiers[verifier].options):
        raise RecipeError(
            f"verifier '{verifier}' asks a model of the run",
            where=str(question.verifier or question.data),
            remedy="such prompts are filtered within a run, or give --verifier",
        )
    return whole, recipe_dir


def _its_verifier(recipe: tuple[Recipe, Path] | None, data: str) -> str:
    """The verifier that the recipe's RL stages and suites give this data set. Raises InputError where none or several
    do."""
    found: set[str] = set()
    if recipe is not None:
        found = {suite.verifier for suite in recipe[0].evaluate.suites.values() if suite.data == data}
        for stage in recipe[0].stages:
            if isinstance(stage, Grpo) and data in (
                [stage.prompts] if isinstance(stage.prompts, str) else stage.prompts
            ):
                found.add(stage.verifier if isinstance(stage.verifier, str) else stage.verifier[data])
    if len(found) != 1:
        which = (
            f"several verifiers judge '{data}': {', '.join(sorted(found))}" if found else f"no verifier for '{data}'"
        )
        raise InputError(which, where="--data", remedy="give --verifier, a kind such as math or a name in the recipe")
    return found.pop()


def _row(prompt: Prompt, counted: Any) -> dict[str, Any]:
    asked = counted.right + counted.wrong + counted.none
    row = {"id": prompt.id, "prompt": list(prompt.messages), "gold": prompt.gold}
    extra = {name: value for name in ("reference", "tools") if (value := getattr(prompt, name))}
    return row | extra | {"metadata": {**prompt.metadata, "right": counted.right, "asked": asked}}
