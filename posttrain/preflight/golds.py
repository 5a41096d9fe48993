"""Does each verifier say yes to its data set's own answers? A few rows a data set are tried.

The answers tried are a worked one (the toy world can write them), or the row's gold written plainly and in a box. A
gold that is no answer by itself (a program's tests, say) is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from posttrain.errors import InputError
from posttrain.preflight.finding import Finding, finding_of
from posttrain.preflight.servers import endpoints
from posttrain.preflight.subject import Subject
from posttrain.recipe.resolve import judge_stages
from posttrain.recipe.schema import Data, StageData, ToyData
from posttrain.types import Prompt
from rewards.contract.verifier import BatchVerifier
from rewards.types import Outcome, Request, last_user_turn

SAMPLE = 16
# Tasks of the toy world whose worked answers are right by the row's gold, not by a matter of style.
_RIGHT_BY_GOLD = ("stem", "code")


def golds(subject: Subject) -> Iterator[Finding]:
    """One finding for each pair of a verifier and a data set that it judges."""
    for verifier, data in subject.judged_data():
        title, spec = f"verifier {verifier} on {data}", subject.plan.recipe.verifiers[verifier]
        judges, rows = judge_stages(spec.options), subject.plan.recipe.data[data]
        if isinstance(rows, StageData):
            yield Finding(name=title, status="later", detail=f"stage {rows.stage} will write its rows")
        elif judges:
            untrained = f"reward model {', '.join(sorted(judges))} is not trained yet"
            yield Finding(name=title, status="later", detail=untrained)
        elif endpoints(spec.options):
            yield Finding(name=title, status="later", detail="asks a model for each answer; checked at run")
        else:
            yield finding_of(title, _look_at(subject, verifier, data))


def _look_at(subject: Subject, verifier: str, data: str) -> Callable[[], str]:
    """What `finding_of` calls for one pair."""

    def look() -> str:
        from rewards.load import build_verifier
        from rewards.services import Services

        recipe, recipe_dir = subject.plan.recipe, subject.plan.recipe_dir
        think, spec = recipe.chat.think, recipe.data[data]
        services = Services(think=think, workers=1, judge=subject.open_judge)
        built = build_verifier(recipe.verifiers[verifier].model_dump(), services)
        prompts, num_unusable = _usable_prompts(built, data, spec, recipe_dir)
        worked = _worked_answers(spec, recipe_dir)
        outcome = try_answers(built, [(prompt, right_answers(prompt, worked, think)) for prompt in prompts])
        return f"{outcome}; {num_unusable} golds set aside" if num_unusable else outcome

    return look


def try_answers(built: BatchVerifier, rows: Iterable[tuple[Prompt, Sequence[str]]]) -> str:
    """One line on how many rows' own answers pass. rows: a prompt with answers of which one must pass, [] where its
    gold is no answer by itself. Raises InputError at the first row none of whose answers does."""
    tried = seen = 0
    for prompt, answers in rows:
        seen += 1
        if answers:
            tried += 1
            _expect_yes(built, prompt, answers)
    if not tried:
        return f"{seen} golds can be read; they are no answers by themselves, so none was tried"
    return f"accepts the answers of {tried} of {seen} sampled rows"


def _expect_yes(built: BatchVerifier, prompt: Prompt, answers: Sequence[str]) -> None:
    verdicts = [built.verify(_request(prompt, answer)) for answer in answers]
    if any(verdict.passed for verdict in verdicts):
        return
    first = verdicts[0]
    what = f"row '{prompt.id}': its own gold {prompt.gold!r} is judged {first.outcome.value} ({first.reason})"
    if first.outcome in (Outcome.ERROR, Outcome.TIMEOUT):
        detail = first.certificate.get("detail", "")
        raise InputError(f"{what}: {detail}".rstrip(": "), remedy="mend the verifier")
    raise InputError(what, remedy="mend the gold, or choose another verifier for this data set")


def _request(prompt: Prompt, answer: str) -> Request:
    return Request(
        question=last_user_turn(prompt.messages),
        response=answer,
        gold=prompt.gold,
        stop_reason="stop",
        messages=prompt.messages,
        reference=prompt.reference,
        metadata=prompt.metadata,
    )


def _usable_prompts(built: BatchVerifier, name: str, spec: Data, recipe_dir: Path) -> tuple[tuple[Prompt, ...], int]:
    """Sampled prompts whose golds the verifier can use, and how many it cannot. Raises DataError where the run would
    surely stop."""
    from posttrain.data.source import Rows, load_prompts, set_aside

    rows = load_prompts(name, _few_rows(spec), recipe_dir)
    rows = Rows(name=name, items=rows.items[:SAMPLE], numbers=rows.numbers[:SAMPLE])
    reasons = built.gold_problems(
        [Request(response="", gold=p.gold, reference=p.reference, metadata=p.metadata) for p in rows.items]
    )
    # Where a share of faulty rows is allowed, a sample cannot tell whether it is exceeded: the run counts all rows.
    if all(reasons) or not getattr(spec, "max_faulty_share", 0.0):
        set_aside(rows, spec, reasons)
    prompts = tuple(prompt for prompt, reason in zip(rows.items, reasons, strict=True) if not reason)
    return prompts, len(rows.items) - len(prompts)


def right_answers(prompt: Prompt, worked: dict[str, str], think: tuple[str, str]) -> list[str]:
    """Answers of which one must pass: a worked one, or the gold itself written plainly or in a box."""
    question = prompt.messages[-1]["content"]
    if question in worked:
        return [worked[question]]
    gold = prompt.gold.get("answer") if isinstance(prompt.gold, dict) else prompt.gold
    values = gold if isinstance(gold, list) and gold else [gold]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in values):
        return []
    whole = ", ".join(map(str, values))  # several values may be one set, or several forms of one answer
    return [
        f"{think[0]}so{think[1]}\n{form}"
        for text in dict.fromkeys((str(values[0]), whole))
        for form in (f"\\boxed{{{text}}}", text, f"Answer: {text}")
    ]


def _worked_answers(spec: Data, recipe_dir: Path) -> dict[str, str]:
    """Question -> right answer, for the toy world, which can write them; {} for other data."""
    from posttrain.data.source import load_conversations
    from posttrain.toy.tasks import TASKS

    if not isinstance(spec, ToyData) or spec.task not in _RIGHT_BY_GOLD or f"{spec.task}_worked" not in TASKS:
        return {}
    few = spec.model_copy(update={"task": f"{spec.task}_worked", "rows": min(spec.rows, SAMPLE)})
    rows = load_conversations("worked", few, recipe_dir).items
    return {row.messages[-2]["content"]: row.messages[-1]["content"] for row in rows}


def _few_rows(spec: Data) -> Data:
    """The same data set with few rows where rows are made on demand."""
    return spec.model_copy(update={"rows": min(spec.rows, SAMPLE)}) if hasattr(spec, "rows") else spec
