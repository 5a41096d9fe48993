"""`posttrain profile`: which prompts a checkpoint answers right now and then. Parse, call, print."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli.sample import loaded_recipe


def register(app: typer.Typer) -> None:
    app.command("profile")(profile_command)


def profile_command(
    checkpoint: Annotated[Path, typer.Argument(help="A stage's folder of a run, or a model folder.")],
    data: Annotated[str, typer.Option(help="Data set of the recipe, or a file of prompts with golds.")],
    out: Annotated[Path, typer.Option(help="Folder for kept.jsonl, table.jsonl and summary.json.")],
    verifier: Annotated[
        str | None, typer.Option(help="Verifier of the recipe, or a kind; left out: the one that the recipe gives.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe; a run's stage brings its own.")] = None,
    k: Annotated[int, typer.Option(min=2, max=1024, help="Answers a prompt.")] = 16,
    low: Annotated[float, typer.Option(min=0, max=1, help="Kept strictly above this share right.")] = 0.1,
    high: Annotated[float, typer.Option(min=0, max=1, help="Kept strictly below.")] = 0.9,
    wave: Annotated[int, typer.Option(min=0, help="Answers asked at a time until decided; 0: all.")] = 4,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, tokens.")] = 16384,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Filter prompts by avg@k of one checkpoint. A killed one goes on by the same command."""
    from posttrain.recipe.schema import Filter
    from posttrain.records.codec import as_json as record_json
    from posttrain.run.one_checkpoint import find_model, find_recipe
    from posttrain.run.profile import Question, profile

    find_model(checkpoint)
    found = loaded_recipe(recipe) or find_recipe(checkpoint)
    band = Filter(k=k, low=low, high=high, wave=wave, reuse=False)
    question = Question(data=data, verifier=verifier, band=band, temperature=temperature, max_tokens=max_tokens)
    with tempfile.TemporaryDirectory(prefix="posttrain-logs-") as logs:
        summary = profile(checkpoint, found, question, out=out, logs=Path(logs))
    if as_json:
        print(json.dumps(record_json(summary)))
        return
    print(
        f"kept {summary.kept} of {summary.prompts} prompts, {summary.answers_per_prompt:.1f} answers a prompt: "
        f"{out / 'kept.jsonl'}"
    )
    print(f"prompts by right answers of {k}: {', '.join(map(str, summary.histogram))}")
