"""`posttrain rollouts`: the answers of a run in a terminal, with verdict and reason, thinking folded. Parse, call,
print."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from posttrain.errors import InputError

if TYPE_CHECKING:
    from posttrain.run.answers import Answer, Wanted

rollouts_app = typer.Typer(help="Read the answers of a run.", no_args_is_help=True)

Target = Annotated[str, typer.Argument(help="RUN, or RUN:STEP such as runs/demo:stem or runs/demo:stem.eval.stem.")]
Number = Annotated[int | None, typer.Option("--step", min=0, help="Training step.")]
PromptId = Annotated[str | None, typer.Option("--prompt", help="Id of a prompt.")]
OutcomeOption = Annotated[str | None, typer.Option("--outcome", help="correct, wrong, error, ...")]
Most = Annotated[int, typer.Option("-n", min=1, help="How many answers at most.")]
Thinking = Annotated[bool, typer.Option("--thinking", help="Print the thinking, too.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object an answer.")]


@rollouts_app.command("show")
def show_command(
    target: Target,
    number: Number = None,
    prompt: PromptId = None,
    outcome: OutcomeOption = None,
    most: Most = 5,
    thinking: Thinking = False,
    as_json: Json = False,
) -> None:
    """The first answers, or those of a step, a prompt or an outcome."""
    from posttrain.run.answers import Wanted

    _print_first(target, Wanted(number=number, prompt_id=prompt, outcome=outcome), most, thinking, as_json)


@rollouts_app.command("grep")
def grep_command(
    pattern: Annotated[str, typer.Argument(help="Regular expression, sought in answers and prompts.")],
    target: Target,
    outcome: OutcomeOption = None,
    most: Most = 20,
    thinking: Thinking = False,
    as_json: Json = False,
) -> None:
    """Answers that hold a pattern. Exit code 1 where none does."""
    from posttrain.run.answers import Wanted

    try:
        wanted = Wanted(outcome=outcome, pattern=re.compile(pattern))
    except re.error as error:
        raise InputError(f"{pattern!r} is no regular expression: {error}", remedy="escape . * + ? ( ) [ ]") from error
    if not _print_first(target, wanted, most, thinking, as_json):
        raise typer.Exit(1)


@rollouts_app.command("tail")
def tail_command(target: Target, most: Most = 5, thinking: Thinking = False, as_json: Json = False) -> None:
    """The newest answers, also of a stage that is training now."""
    from posttrain.run.answers import answers, find_answers

    for found in find_answers(target)[-1:]:
        for answer in deque(answers(found.step, found.files[-2:]), most):
            _print(answer, thinking, as_json)


@rollouts_app.command("diff")
def diff_command(
    before: Annotated[str, typer.Argument(help="RUN:STEP before.")],
    after: Annotated[str, typer.Argument(help="RUN:STEP after, over the same prompts.")],
    most: Most = 5,
    thinking: Thinking = False,
) -> None:
    """Prompts that two steps answered differently well, lost ones first, with an answer of each."""
    from posttrain.run.answers import answers, changes, find_answers

    sides = [
        [answer for found in find_answers(target) for answer in answers(found.step, found.files)]
        for target in (before, after)
    ]
    changed = changes(*sides)
    lost = sum(change.gain < 0 for change in changed)
    print(f"{lost} prompts are answered worse, {len(changed) - lost} better")
    for change in changed[:most]:
        rights = " -> ".join(f"{right} of {asked}" for right, asked in zip(change.right, change.asked, strict=True))
        print(f"\n{change.prompt_id}: right {rights}")
        for answer in change.examples:
            _print(answer, thinking, as_json=False)


def _print_first(target: str, wanted: Wanted, most: int, thinking: bool, as_json: bool) -> int:
    from posttrain.run.answers import answers, find_answers

    chosen = (
        answer for found in find_answers(target) for answer in answers(found.step, found.files) if wanted.takes(answer)
    )
    count = 0
    for answer in islice(chosen, most):
        _print(answer, thinking, as_json)
        count += 1
    return count


def _print(answer: Answer, thinking: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(answer), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.text import Text

    place = f"{answer.step} step {answer.number}" if answer.number else answer.step
    cut = "  cut off" if answer.stop_reason == "length" else ""
    score = "" if answer.score is None else f" {answer.score:g}"
    colour = {"correct": "green", "wrong": "red"}.get(answer.outcome, "yellow")
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        Text.assemble(
            (f"{place}  {answer.prompt_id} #{answer.index}  ", "bold"),
            (f"{answer.outcome}{score}", colour),
            f"  {answer.reason}  {answer.num_tokens} tokens{cut}",
        )
    )
    if answer.prompt:
        console.print(Text(f"  {answer.prompt}", "dim"))
    console.print(Text(f"  {answer.text if thinking else folded(answer.text)}"))


def folded(text: str) -> str:
    """The answer with its thinking as a count of characters. The tags are those that most templates use; others are
    shown whole."""
    return re.sub(
        r"<(think|scratchpad)>(.*?)(</\1>|\Z)", lambda found: f"<{found[1]}>…{len(found[2]):,} characters…{found[3]}",
        text, flags=re.DOTALL,
    )  # fmt: skip
