"""Commands on one checkpoint: `sample` talks to it, `evaluate` scores it. Parse, call, print."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("sample")(sample_command)
    app.command("evaluate")(evaluate_command)


def sample_command(
    checkpoint: Annotated[Path, typer.Argument(help="A stage's folder of a run, or a model folder.")],
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="One question; without it, a conversation.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.6,
    top_p: Annotated[float, typer.Option(help="Nucleus.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(help="Longest answer, tokens.")] = 256,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Same seed, same answer.")] = 0,
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe whose chat settings to use; a run's stage brings its own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an answer.")] = False,
) -> None:
    """Talk to a stage's model; its thinking is shown."""
    from posttrain.run.one_checkpoint import find_model, find_recipe, talk
    from posttrain.types import SamplingParams

    find_model(checkpoint)  # a wrong folder is said before torch is imported
    sampling = SamplingParams(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    answer = talk(checkpoint, loaded_recipe(recipe) or find_recipe(checkpoint), sampling, seed)
    messages: list[dict[str, str]] = []
    while True:
        question = _ask(prompt)
        if question is None:
            return
        messages.append({"role": "user", "content": question})
        thinking, said = answer(messages)
        messages.append({"role": "assistant", "content": said})
        _show(thinking, said, as_json)
        if prompt is not None:
            return


def evaluate_command(
    checkpoint: Annotated[Path, typer.Argument(help="A stage's folder of a run, or a model folder.")],
    suite: Annotated[str, typer.Option(help="Suite of the recipe.")],
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe that defines the suite; a run's stage brings its own.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for samples.jsonl and scores.json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print checkpoint, suite and scores as JSON.")] = False,
) -> None:
    """Score a checkpoint on one suite."""
    from posttrain.errors import RecipeError
    from posttrain.records.codec import as_json as record_json
    from posttrain.run.one_checkpoint import find_model, find_recipe, score

    find_model(checkpoint)
    found = loaded_recipe(recipe) or find_recipe(checkpoint)
    if found is None:
        raise RecipeError(
            "no recipe defines the suite",
            where=str(checkpoint),
            remedy="give --recipe RECIPE, or a stage's folder of a run",
        )
    with tempfile.TemporaryDirectory(prefix="posttrain-logs-") as logs:
        scores = score(checkpoint, found[0], found[1], suite, Path(logs), out)
    if as_json:
        print(json.dumps({"checkpoint": str(checkpoint), "suite": suite, **record_json(scores)}))
    else:
        low, high = scores.ci95
        print(
            f"{suite}: avg@{scores.k} {scores.avg_at_k:.1%} [{low:.1%}, {high:.1%}] on {scores.n} problems, "
            f"format valid {scores.format_valid:.1%}"
        )


def loaded_recipe(recipe: Path | None) -> Any:
    """The recipe that an option names, with its folder; None where it was not given."""
    if recipe is None:
        return None
    from posttrain.recipe import load_recipe
    from posttrain.recipe.shipped import find_recipe

    loaded = load_recipe(find_recipe(str(recipe)))
    return loaded.recipe, loaded.recipe_dir


def _ask(prompt: str | None) -> str | None:
    """The prompt, or the next line of standard input; None at its end. Raises InputError for bytes that are no text."""
    try:
        question = prompt if prompt is not None else input("you> " if sys.stdin.isatty() else "").strip()
        question.encode("utf-8")
    except EOFError:
        return None
    except UnicodeError as error:
        raise InputError(
            "the question is not UTF-8", where="stdin" if prompt is None else "--prompt", remedy="send UTF-8"
        ) from error
    return question or prompt


def _show(thinking: str, said: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"thinking": thinking, "answer": said}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if thinking:
        console.print(thinking, style="dim", markup=False)
    console.print(said, markup=False)
