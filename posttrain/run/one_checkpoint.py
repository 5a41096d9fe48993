"""Work on one checkpoint outside a run: find its model and recipe, talk to it, or score it on a suite of the recipe.

A stage's folder of a run (`runs/demo/stages/stem`) brings its recipe along; any other folder needs one given.
Imports nothing heavy at module level.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from posttrain.errors import CheckpointError, RecipeError
from posttrain.plan.seating import gpus_of
from posttrain.recipe.schema import Chat, Recipe
from posttrain.records.codec import from_json
from posttrain.records.scores import SCORES, Scores
from posttrain.store.reference import model_dir
from posttrain.types import GenerationRequest, SamplingParams

if TYPE_CHECKING:
    from posttrain.machine.machine import Machine
    from posttrain.sampling.job import PromptMixture, ServedModel


def find_model(checkpoint: Path) -> Path:
    """The folder with config.json: the checkpoint itself, its model/, or what its reference.json points to. Raises
    CheckpointError."""
    for folder in (checkpoint, model_dir(checkpoint)):
        if (folder / "config.json").is_file():
            return folder
    raise CheckpointError(
        "no config.json, and no model/ with one",
        where=str(checkpoint),
        remedy="give a stage's folder such as runs/demo/stages/stem",
    )


def find_recipe(checkpoint: Path) -> tuple[Recipe, Path] | None:
    """The recipe of the run whose folder holds this checkpoint, with the folder its paths are relative to; None outside
    a run.

    Raises RunFolderError or RecipeError where that run's records cannot be read.
    """
    from posttrain.recipe.load import load_resolved
    from posttrain.records.run_files import RECIPE, read_facts

    for folder in Path(checkpoint).absolute().parents:
        facts = read_facts(folder) if (folder / RECIPE).is_file() else None
        if facts is not None:
            return load_resolved((folder / RECIPE).read_text(encoding="utf-8")), Path(facts.recipe_dir)
    return None


def chat_of(checkpoint: Path, recipe: Recipe | None) -> Chat:
    """The recipe's way to chat, or what the checkpoint itself says: its template, its generation config's stop
    tokens."""
    if recipe is not None:
        return recipe.chat
    path = find_model(checkpoint) / "generation_config.json"
    stops = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    if stops is None:
        return Chat.model_validate({})
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), local_files_only=True)
    ids = stops if isinstance(stops, list) else [stops]
    return Chat.model_validate({"stop": [tokenizer.convert_ids_to_tokens(token) for token in ids]})


def talk(
    checkpoint: Path, recipe: tuple[Recipe, Path] | None, sampling: SamplingParams, seed: int
) -> Callable[[list[dict[str, str]]], tuple[str, str]]:
    """A function from messages to (thinking, answer), by transformers in this process: it starts at once and needs no
    Ray."""
    import dataclasses

    from posttrain.data.template import ChatTemplate
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.hf_engine import HfEngine

    folder = find_model(checkpoint)
    template = ChatTemplate.load(
        folder, chat_of(checkpoint, recipe[0] if recipe else None), recipe[1] if recipe else None
    )
    limit = int(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings", 2048))
    engine = HfEngine(str(folder), "sample", EngineOptions(context_tokens=limit))
    chosen = dataclasses.replace(sampling, stop_token_ids=template.stop_ids)

    def answer(messages: list[dict[str, str]]) -> tuple[str, str]:
        request = GenerationRequest(prompt_ids=tuple(template.prompt_ids(messages)), seeds=(seed,))
        text = engine.generate([request], chosen)[0][0].text
        head, found, tail = text.partition(template.think[1])
        return (head.replace(template.think[0], "", 1).strip(), tail.strip()) if found else ("", text.strip())

    return answer


def served(machine: Machine, folder: Path) -> ServedModel:
    """A model folder in the machine's policy engines."""
    from posttrain.sampling.job import ServedModel

    return ServedModel(engine=machine.engine("policy", folder, str(folder)), folder=folder, id=str(folder))


def prompts_of(recipe: Recipe, recipe_dir: Path, data: str, verifier: str | dict[str, str]) -> PromptMixture:
    """All prompts of one data set of a recipe."""
    from posttrain.sampling.job import PromptMixture

    return PromptMixture(
        weights={data: 1.0},
        data=dict(recipe.data),
        recipe_dir=recipe_dir,
        verifier=verifier,
        seed=recipe.seed,
        context_tokens=recipe.engine.context_tokens,
    )


def score(
    checkpoint: Path, recipe: Recipe, recipe_dir: Path, suite_name: str, logs: Path, output: Path | None = None
) -> Scores:
    """Score a checkpoint on a suite of the recipe, with the recipe's engine, verifiers and sandbox.

    Raises RecipeError: no such suite, or one whose verifier asks a reward model of the run.
    """
    from posttrain.machine.machine import Machine
    from posttrain.recipe.location import near
    from posttrain.recipe.resolve import judge_stages
    from posttrain.sampling.evaluate import ScoredSuite, evaluate
    from posttrain.sampling.job import SAMPLES_PER_ENGINE, AnswerBatches, SamplingJob

    if suite_name not in recipe.evaluate.suites:
        raise RecipeError(
            f"no suite '{suite_name}'", where="evaluate.suites", remedy=near(suite_name, list(recipe.evaluate.suites))
        )
    rules, suite, folder = recipe.evaluate, recipe.evaluate.suites[suite_name], find_model(checkpoint)
    if judge_stages(recipe.verifiers[suite.verifier].options):
        raise RecipeError(
            f"verifier '{suite.verifier}' asks a model of the run",
            where=f"evaluate.suites.{suite_name}",
            remedy="such suites are scored within a run",
        )
    seats = math.ceil(gpus_of(recipe, ["policy"]))
    with (
        Machine(recipe, logs, seats=seats) as machine,
        tempfile.TemporaryDirectory(prefix="posttrain-evaluate-") as scratch,
    ):
        target = output or Path(scratch)
        target.mkdir(parents=True, exist_ok=True)
        job = SamplingJob(
            model=served(machine, folder),
            chat=recipe.chat,
            prompts=prompts_of(recipe, recipe_dir, suite.data, suite.verifier),
            scorer=machine.scorer(),
            sampling=SamplingParams(
                temperature=rules.temperature, top_p=rules.top_p, max_tokens=suite.max_tokens or rules.max_tokens
            ),
            samples=rules.k,
            output=target,
            batches=AnswerBatches(
                folder=Path(scratch) / "batches",
                earlier=(),
                stop_file=Path(scratch) / "stop",
                samples=SAMPLES_PER_ENGINE,
            ),
        )
        scores = machine.run_aside(evaluate, job, ScoredSuite(name=suite_name))
    return from_json(Scores, scores, SCORES)
