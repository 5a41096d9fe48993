"""Pairs of a prompt's answers: how many, which, of whom; a teacher with a tokenizer of its own; and answers of another
student, which are refused before training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.errors import StageError
from posttrain.recipe.resolve import teachers_chat
from posttrain.recipe.schema import Recipe
from posttrain.sampling import pairs
from posttrain.sampling.job import SamplingJob, ServedModel, TeacherAnswers
from posttrain.stages.dpd import DpdStage
from posttrain.store.jsonl import read_lines
from posttrain.types import Completion, EncodedPrompt, RolloutGroup, StopReason
from rewards.types import Outcome, Verdict
from tests.train.conftest import Jobs
from tests.train.test_golds import GOOD, questions, sampling_job, scorer, unasked  # noqa: F401 - scorer is a fixture

Asked = dict[str, tuple[list[EncodedPrompt], tuple[int, ...]]]


def answering(monkeypatch: pytest.MonkeyPatch, teacher: str, student: str) -> Asked:
    """Everyone answers every prompt by these letters: r right, w wrong, c wrong and cut off. Gives who was asked
    what."""
    asked: Asked = {}

    def answers(job: SamplingJob, prompts: list[EncodedPrompt], stop_ids: Any, *, asker: str) -> list[RolloutGroup]:
        letters = teacher if asker == "teacher" else student
        asked[asker] = (list(prompts), tuple(stop_ids))
        completions = tuple(
            Completion(
                segments=(), text=f"{asker} {letter}{place}", policy_version="0", seed=0,
                stop_reason=StopReason.LENGTH if letter[0] == "c" else StopReason.STOP,
            )
            for place, letter in enumerate(letters)
        )  # fmt: skip
        verdicts = tuple(
            Verdict(outcome=Outcome.CORRECT, score=1.0)
            if " r" in one.text
            else Verdict(outcome=Outcome.WRONG, score=0.0)
            for one in completions
        )
        return [
            RolloutGroup(prompt=one.prompt, prompt_ids=one.ids, completions=completions, verdicts=verdicts)
            for one in prompts
        ]

    monkeypatch.setattr(pairs, "judged_answers", answers)
    return asked


def made(jobs: Jobs, scorer: Any, most: int, **teacher: Any) -> list[dict[str, Any]]:  # noqa: F811
    model = ServedModel(engine=unasked(), folder=jobs.model, id="t1")
    asking = TeacherAnswers(**({"model": model, "samples": 4} | teacher))
    pairs.make_pairs(sampling_job(jobs, questions(jobs, GOOD[:2]), scorer, 4), asking, most)
    return read_lines(jobs.folder / "pairs.jsonl")


@pytest.mark.parametrize(
    ("teacher", "student", "most", "wanted"),
    [
        ("wrr", "rwcw", 1, [("r1", "w1")]),
        ("wrr", "rwcw", 4, [("r1", "w1"), ("r2", "w3")]),
        ("r", "wwww", 3, [("r0", "w0"), ("r0", "w1"), ("r0", "w2")]),
        ("rrr", "ww", 9, [("r0", "w0"), ("r1", "w1"), ("r2", "w0")]),
        ("rr", "rrc", 9, []),
    ],
)
def test_good_and_bad_answers_meet_in_turn_up_to_the_number_asked_for(
    jobs: Jobs, scorer: Any, monkeypatch: pytest.MonkeyPatch, teacher: str, student: str, most: int, wanted: Any  # noqa: F811
) -> None:  # fmt: skip
    answering(monkeypatch, teacher, student)
    if not wanted:
        with pytest.raises(StageError, match="no prompt has a right answer of the teacher"):
            made(jobs, scorer, most)
        return
    rows = made(jobs, scorer, most)
    found = [(row["chosen"].split()[1], row["rejected"].split()[1]) for row in rows]
    assert found == wanted * 2, "of both prompts"
    assert len({row["id"] for row in rows}) == len(rows) and rows[0]["id"] == "q0"
    assert all(row["provenance"] == {"chosen": "teacher:t1", "rejected": "student:s"} for row in rows)


def test_a_teacher_by_text_is_asked_in_its_own_tokens(
    jobs: Jobs, scorer: Any, tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    other = shutil.copytree(tiny(seed=1), jobs.folder / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["0"], vocabulary["1"] = vocabulary["1"], vocabulary["0"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    (other / "chat_template.jinja").write_text("{% for turn in messages %}Q {{ turn['content'] }} A{% endfor %}")
    stages = [{"kind": "dpd", "name": "distil", "prompts": "q", "verifier": "math", "steps": 1,
               "teacher": {"path": "t", "gives": "text"}, "weights": {"chosen": 0.0, "rejected": 0.0}}]  # fmt: skip
    chat = {"template": "chatml_think", "stop": ["<|im_end|>"]}
    recipe = Recipe.model_validate({"schema": 1, "name": "a", "base": {"path": "b"}, "chat": chat, "stages": stages})
    asked = answering(monkeypatch, "r", "w")
    model = ServedModel(engine=unasked(), folder=other, id="t1")
    rows = made(jobs, scorer, 1, model=model, chat=teachers_chat(recipe, "distil"))
    assert [row["chosen"] for row in rows] == ["teacher r0"] * 2
    (its, stops), (ours, _) = asked["teacher"], asked["student"]
    assert len(its[0].ids) == len("Q 0+2? A") < len(ours[0].ids)
    assert its[0].ids[2] == vocabulary["0"] != ours[0].ids[2]
    assert len(stops) == 1


def context(folder: Path, provenance: dict[str, str], **inputs: Path) -> Any:
    row = {"id": "p/9", "source": "stem", "messages": [{"role": "user", "content": "1+1?"}], "chosen": "2",
           "rejected": "3", "provenance": provenance}  # fmt: skip
    (folder / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    step = SimpleNamespace(name="distil", stage="distil")
    return SimpleNamespace(step=step, inputs={"checkpoint": Path("/store/sft-new"), "pairs": folder, **inputs})


@pytest.mark.parametrize("provenance", [{"rejected": "student:sft-old"}, {}])
def test_bad_answers_of_another_checkpoint_than_the_start_are_refused(
    tmp_path: Path, provenance: dict[str, str]
) -> None:
    with pytest.raises(StageError, match="of the checkpoint sft-new that 'distil' starts from") as caught:
        DpdStage().run(context(tmp_path, provenance))
    said = provenance.get("rejected", "nobody")
    assert f"is of {said}, not" in caught.value.what and "negatives_from" in str(caught.value.remedy)
    assert caught.value.where == f"{tmp_path / 'pairs.jsonl'}:1"


def test_bad_answers_of_the_checkpoint_that_the_recipe_names_are_taken_and_others_not(tmp_path: Path) -> None:
    from posttrain.stages.dpd import _refuse_other_negatives

    allowed = context(tmp_path, {"rejected": "student:sft-old"}, negatives=Path("/store/sft-old"))
    _refuse_other_negatives(allowed)
    with pytest.raises(StageError, match="names in negatives_from"):
        _refuse_other_negatives(context(tmp_path, {"rejected": "student:sft-new"}, negatives=Path("/store/sft-old")))
