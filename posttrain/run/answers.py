"""The answers that a run has on disk, published or still being written, one at a time: what `posttrain rollouts` shows.

    runs/x                     every step with answers
    runs/x:stem                rollouts of the stage `stem`; while it trains, those of its attempt under way
    runs/x:stem.eval.stem      answers of an evaluation

Knows nothing of how they are shown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import InputError
from posttrain.plan.prepare import previous_steps
from posttrain.recipe.location import near
from posttrain.records.codec import from_json
from posttrain.records.rollouts import (
    ROLLOUTS,
    SAMPLES,
    AnswerRow,
    JudgedRow,
    Sample,
    json_rows,
    prompt_rows,
    rollout_files,
)
from posttrain.records.run_files import read_facts
from posttrain.run.folder import existing_run

_FILE = re.compile(r"step-(\d+)(?:-\d+)?\.jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer of a run. number: the training step, 0 in an evaluation; prompt: "" in an evaluation, which publishes
    ids only; index: among the answers of its prompt, from 0.

    Example: Answer(step="stem", number=12, prompt_id="toy-stem/3", prompt="17+25?", index=0, text="<think>17+25=42...",
    outcome="correct", score=1.0, reason="integer_equal", extracted="42", stop_reason="stop", num_tokens=9)
    """

    step: str
    number: int
    prompt_id: str
    prompt: str
    index: int
    text: str
    outcome: str
    score: float | None
    reason: str
    extracted: str | None
    stop_reason: str
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerFiles:
    """A step's files of answers, oldest first. Example: AnswerFiles(step="stem", files=(Path("step-00001.jsonl"),))"""

    step: str
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which answers to show: every condition that is given holds. number: of the training step; pattern: found in the
    answer or its prompt."""

    number: int | None = None
    prompt_id: str | None = None
    outcome: str | None = None
    pattern: re.Pattern[str] | None = None

    def takes(self, answer: Answer) -> bool:
        return (
            (self.number is None or answer.number == self.number)
            and (self.prompt_id is None or answer.prompt_id == self.prompt_id)
            and (self.outcome is None or answer.outcome == self.outcome)
            and (self.pattern is None or any(map(self.pattern.search, (answer.text, answer.prompt))))
        )


def find_answers(target: str) -> list[AnswerFiles]:
    """The files of RUN or RUN:STEP. Raises InputError where the step has none, RunFolderError where it is no run."""
    run, _, step = target.partition(":") if not Path(target).is_dir() else (target, "", "")
    folder = existing_run(Path(run))
    found = [AnswerFiles(step=path.name, files=tuple(files)) for path, files in _published(folder) if files]
    found += _under_way(folder, {one.step for one in found})
    if not step:
        return found
    chosen = [one for one in found if one.step == step]
    if not chosen:
        remedy = near(step, [one.step for one in found]) if found else "wait until a step has sampled"
        raise InputError(f"step '{step}' has no answers on disk", where=run, remedy=remedy)
    return chosen


def _published(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    for path in sorted((folder / "stages").iterdir()):
        samples = path / SAMPLES
        yield path, [*rollout_files(path), *([samples] if samples.is_file() else [])]


def _under_way(folder: Path, known: set[str]) -> list[AnswerFiles]:
    """Rollouts of steps that are not published yet, in the newest attempt of each."""
    facts = read_facts(folder)
    assert facts is not None, "existing_run has looked"
    work = Path(facts.store) / "work"
    found = []
    for step in previous_steps(folder):
        attempts = sorted((work / step.id).glob(f"attempt-*/{ROLLOUTS}")) if step.name not in known else []
        files = sorted(attempts[-1].glob("step-*.jsonl"), key=_number) if attempts else []
        if files:
            found.append(AnswerFiles(step=step.name, files=tuple(files)))
    return found


def _number(path: Path) -> int:
    match = _FILE.fullmatch(path.name)
    return int(match[1]) if match else 0


def answers(step: str, files: Iterable[Path]) -> Iterator[Answer]:
    """The answers of these files, in order. Rows of another shape, which a stage of the user's own may write, are left
    out."""
    for path in files:
        if path.name == SAMPLES:
            yield from _samples(step, path)
            continue
        for row in prompt_rows(path):
            for index, answer in enumerate(row.completions if row else ()):
                assert row is not None, "an absent row has no completions"
                yield _answer(step, row.prompt_id, index, answer, number=_number(path), prompt=row.prompt)


def _samples(step: str, path: Path) -> Iterator[Answer]:
    for value in json_rows(path):
        row = from_json(Sample, value, str(path))
        yield _answer(step, row.problem, row.sample, row)


def _answer(
    step: str, prompt_id: str, index: int, row: AnswerRow | Sample, *, number: int = 0, prompt: str = ""
) -> Answer:
    verdict = row.verdict or JudgedRow(outcome="not judged", score=None, extracted=None, reason="", parts={})
    return Answer(
        step=step,
        number=number,
        prompt_id=prompt_id,
        prompt=prompt,
        index=index,
        text=row.text,
        outcome=verdict.outcome,
        score=verdict.score,
        reason=verdict.reason,
        extracted=verdict.extracted,
        stop_reason=row.stop_reason,
        num_tokens=row.num_tokens,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A prompt that two steps answered: right answers of all, before and after, the change of their share, and one
    answer of each."""

    prompt_id: str
    right: tuple[int, int]
    asked: tuple[int, int]
    gain: float
    examples: tuple[Answer, Answer]


def changes(before: Iterable[Answer], after: Iterable[Answer]) -> list[Change]:
    """Prompts of both whose share of right answers differs, largest loss first. The examples are of the kind that
    changed: after a loss a right answer before and one that is not right after."""
    sides: tuple[dict[str, list[Answer]], dict[str, list[Answer]]] = (defaultdict(list), defaultdict(list))
    for side, found in zip(sides, (before, after), strict=True):
        for answer in found:
            side[answer.prompt_id].append(answer)
    changed = []
    for prompt in sides[0].keys() & sides[1].keys():
        pair = sides[0][prompt], sides[1][prompt]
        first, second = (sum(one.outcome == "correct" for one in answers) for answers in pair)
        gain = second / len(pair[1]) - first / len(pair[0])
        if gain:
            examples = _example(pair[0], right=gain < 0), _example(pair[1], right=gain > 0)
            counts = {"right": (first, second), "asked": (len(pair[0]), len(pair[1]))}
            changed.append(Change(prompt_id=prompt, examples=examples, gain=gain, **counts))
    return sorted(changed, key=lambda change: (change.gain, change.prompt_id))


def _example(found: list[Answer], *, right: bool) -> Answer:
    return next((one for one in found if (one.outcome == "correct") is right), found[0])
