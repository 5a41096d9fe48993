"""Golds that a verifier cannot use stop every stage that samples, with file and row, before anything is sampled; or
they are set aside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from posttrain.data.source import load_prompts, write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError, InputError, RecipeError, StageError
from posttrain.machine.scorer import Scorer
from posttrain.recipe.schema import FileData, Filter, Grpo
from posttrain.sampling import evaluate as sampling_evaluate
from posttrain.sampling import filter as sampling_filter
from posttrain.sampling import pairs
from posttrain.sampling.evaluate import ScoredSuite
from posttrain.sampling.job import AnswerBatches, PromptMixture, RolloutSource, SamplingJob, ServedModel, TeacherAnswers
from posttrain.sampling.prompts import checked_prompts, pick_prompts
from posttrain.train.compatibility import check_prompts
from posttrain.train.policy import train
from posttrain.types import Completion, EncodedPrompt, RolloutGroup, SamplingParams, StopReason
from rewards.types import Outcome, Verdict
from tests.train.conftest import CHAT, Jobs

GOOD = [{"id": f"q{n}", "prompt": f"{n}+2?", "gold": str(n + 2)} for n in range(9)]
BAD = {"id": "torn", "prompt": "a half?", "gold": "\\frac{1}{"}
SPECS = {
    "math": {"kind": "math"},
    "code": {"kind": "code"},
    "calls": {"kind": "tool_call"},
    "either": {"kind": "cascade", "steps": [{"kind": "math"}, {"kind": "choice"}]},
    "both": {"kind": "all", "steps": [{"kind": "math"}, {"kind": "choice"}]},
    "breaks": {"kind": "tests.rewards.user_verifiers:BreaksOnGolds"},
}
CONTEXT = 64
GRPO = {"kind": "grpo", "name": "rl", "prompts": "questions", "verifier": "math", "filter": None, "steps": 1}


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    made = Scorer(SPECS, {}, ("<think>", "</think>"))
    yield made
    made.close()


def questions(jobs: Jobs, rows: list[dict[str, Any]], **options: Any) -> FileData:
    (jobs.folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return FileData.model_validate({"source": "jsonl", "path": "questions.jsonl", "card": "card.md", **options})


def mixture(jobs: Jobs, data: FileData, verifier: str = "math") -> PromptMixture:
    return PromptMixture(
        weights={"questions": 1.0},
        data={"questions": data},
        recipe_dir=jobs.folder,
        verifier=verifier,
        seed=0,
        context_tokens=CONTEXT,
    )


def sampling_job(jobs: Jobs, data: FileData, scorer: Scorer, samples: int = 1) -> SamplingJob:
    return SamplingJob(
        model=ServedModel(engine=unasked(), folder=jobs.model, id="s"),
        chat=CHAT,
        prompts=mixture(jobs, data),
        scorer=scorer,
        sampling=SamplingParams(max_tokens=16384),
        samples=samples,
        output=jobs.folder,
        batches=AnswerBatches(folder=jobs.folder / "batches", earlier=(), stop_file=jobs.folder / "stop", samples=8),
    )


def evaluate(jobs: Jobs, data: FileData, scorer: Scorer) -> None:
    sampling_evaluate.evaluate(sampling_job(jobs, data, scorer), ScoredSuite(name="s"))


def filter_prompts(jobs: Jobs, data: FileData, scorer: Scorer) -> None:
    sampling_filter.filter_prompts(sampling_job(jobs, data, scorer, Filter().k), Filter())


def make_pairs(jobs: Jobs, data: FileData, scorer: Scorer) -> None:
    teacher = TeacherAnswers(model=ServedModel(engine=unasked(), folder=jobs.model, id="t"), samples=4)
    pairs.make_pairs(sampling_job(jobs, data, scorer, 4), teacher, 1)


def policy(jobs: Jobs, data: FileData, scorer: Scorer) -> None:
    job = jobs.make(Grpo.model_validate(GRPO), {"questions": data})
    train(
        job,
        RolloutSource(engine=unasked(), scorer=scorer, prompts=mixture(jobs, data), kept=None, tolerance=1e-3),
    )


def unasked() -> Any:
    """No engine: whatever asks one fails otherwise than these tests expect."""
    return None


def test_a_dpd_stage_without_a_pair_says_how_many_answers_were_right_and_how_many_cut_off(
    jobs: Jobs, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(job: SamplingJob, prompts: list[EncodedPrompt], *_: Any, **__: Any) -> list[RolloutGroup]:
        cut = Completion(segments=(), text="", stop_reason=StopReason.LENGTH, policy_version="0", seed=0)
        wrong = Verdict(outcome=Outcome.WRONG, score=0.0, reason="no_answer")
        return [
            RolloutGroup(
                prompt=one.prompt, prompt_ids=(), completions=(cut,) * job.samples, verdicts=(wrong,) * job.samples
            )
            for one in prompts
        ]

    monkeypatch.setattr(pairs, "judged_answers", cut_off)
    with pytest.raises(
        StageError, match=r"Teacher: 0 of 36 right, 36 cut off; student: 0 of 36 right, 36 cut off"
    ) as caught:
        make_pairs(jobs, questions(jobs, GOOD), scorer)
    assert "raise max_tokens (16384)" in str(caught.value.remedy)


@pytest.mark.parametrize("stage", [evaluate, filter_prompts, make_pairs, policy])
def test_every_stage_that_samples_names_an_unusable_gold_by_file_and_row_before_it_samples(
    jobs: Jobs, scorer: Scorer, stage: Callable[..., None]
) -> None:
    with pytest.raises(DataError) as caught:
        stage(jobs, questions(jobs, [*GOOD[:3], BAD, *GOOD[3:]]), scorer)
    assert caught.value.where == "questions.jsonl:4"
    assert (
        "row 4" in caught.value.what and "its braces do not match" in caught.value.what and "math" in caught.value.what
    )
    assert "max_faulty_share" in str(caught.value.remedy)


@pytest.mark.parametrize("stage", [evaluate, filter_prompts, make_pairs, policy])
@pytest.mark.parametrize(
    ("prompt", "why"),
    [("x" * 99, "tokens leave no room for an answer in engine.context_tokens: 64"), ("a<|im_end|>b", "special token")],
)
def test_every_stage_that_samples_names_a_prompt_that_cannot_be_asked_before_it_samples(
    jobs: Jobs, scorer: Scorer, stage: Callable[..., None], prompt: str, why: str
) -> None:
    with pytest.raises(DataError) as caught:
        stage(jobs, questions(jobs, [*GOOD[:3], {"prompt": prompt, "gold": "4"}, *GOOD[3:]]), scorer)
    assert caught.value.where == "questions.jsonl:4" and "row 4" in caught.value.what and why in caught.value.what


def test_prompts_that_cannot_be_asked_are_set_aside_within_the_stated_share(jobs: Jobs, scorer: Scorer) -> None:
    data = questions(jobs, [*GOOD, {"prompt": "x" * 99, "gold": "4"}], max_faulty_share=0.1)
    template = ChatTemplate.load(jobs.model, CHAT)
    prompts, faulty = pick_prompts(mixture(jobs, data), scorer, template)
    assert len(prompts) == len(GOOD) and [fault.row for fault in faulty["questions"]] == [10]
    check_prompts(jobs.model, CHAT, jobs.folder, {"questions": data}, CONTEXT)
    with pytest.raises(DataError, match="row 10"):
        check_prompts(
            jobs.model, CHAT, jobs.folder, {"questions": data.model_copy(update={"max_faulty_share": 0.0})}, CONTEXT
        )


def test_unusable_golds_within_the_stated_share_are_set_aside_and_counted_with_the_other_faulty_rows(
    jobs: Jobs, scorer: Scorer
) -> None:
    data = questions(jobs, [BAD, *GOOD, {"prompt": "no gold"}], max_faulty_share=0.2)
    rows = checked_prompts("questions", data, jobs.folder, scorer, {"questions": "math"})
    assert [prompt.id for prompt in rows.items] == [row["id"] for row in GOOD] and rows.numbers == tuple(range(2, 11))
    assert [fault.row for fault in rows.faults] == [1, 11] and "braces" in rows.faults[0].reason
    template = ChatTemplate.load(jobs.model, CHAT)
    prompts, faulty = pick_prompts(mixture(jobs, data), scorer, template)
    assert ([one.prompt for one in prompts], [fault.row for fault in faulty["questions"]]) == (
        list(rows.items),
        [1, 11],
    )
    assert write_set_aside(jobs.folder, faulty) == 2
    said = [json.loads(line) for line in (jobs.folder / "set_aside.jsonl").read_text().splitlines()]
    assert [(row["data"], row["row"]) for row in said] == [("questions", 1), ("questions", 11)] and "braces" in said[0][
        "reason"
    ]


def test_above_the_stated_share_the_run_stops(jobs: Jobs, scorer: Scorer) -> None:
    data = questions(jobs, [BAD, *GOOD, {"prompt": "no gold"}], max_faulty_share=0.1)
    with pytest.raises(
        DataError, match=r"2 of 11 rows of data 'questions' are faulty \(18.2%, allowed 10.0%\); the first is row 1"
    ):
        checked_prompts("questions", data, jobs.folder, scorer, "math")


def test_prompts_with_good_golds_are_what_the_file_holds(jobs: Jobs, scorer: Scorer) -> None:
    data = questions(jobs, GOOD)
    assert checked_prompts("questions", data, jobs.folder, scorer, "math") == load_prompts(
        "questions", data, jobs.folder
    )


@pytest.mark.parametrize(
    ("verifier", "row", "usable"),
    [
        ("code", {"gold": {"tests": [{"stdin": "", "stdout": "1"}]}}, True),
        ("code", {"gold": 1, "metadata": {"tests": [{"stdin": "", "stdout": "1"}]}}, True),
        ("code", {"gold": 1}, False),
        ("calls", {"gold": [{"name": "add", "arguments": {}}], "metadata": {"tools": [{"name": "add"}]}}, True),
        ("calls", {"gold": [{"name": "sub", "arguments": {}}], "metadata": {"tools": [{"name": "add"}]}}, False),
        ("either", {"gold": "B"}, True),
        ("either", {"gold": ["1", "2"]}, True),  # no choice, but mathematics
        ("both", {"gold": ["1", "2"]}, False),
        ("either", {"gold": {}}, False),
    ],
)
def test_what_a_verifier_reads_beside_the_gold_counts(
    jobs: Jobs, scorer: Scorer, verifier: str, row: dict[str, Any], usable: bool
) -> None:
    data = questions(jobs, [{"prompt": "q", **row}, {"prompt": "q", **row}], max_faulty_share=1.0)
    if usable:
        assert len(checked_prompts("questions", data, jobs.folder, scorer, verifier).items) == 2
    else:
        with pytest.raises(DataError, match="no usable row"):
            checked_prompts("questions", data, jobs.folder, scorer, verifier)


def test_a_verifier_that_breaks_on_golds_is_at_fault_not_the_rows(jobs: Jobs, scorer: Scorer) -> None:
    with pytest.raises(InputError, match="golds cannot be checked") as caught:
        checked_prompts("questions", questions(jobs, GOOD, max_faulty_share=1.0), jobs.folder, scorer, "breaks")
    assert not isinstance(caught.value, DataError) and "verifiers.breaks" in str(caught.value.where)
    with pytest.raises(RecipeError, match="no verifier for prompts of"):
        checked_prompts("questions", questions(jobs, GOOD), jobs.folder, scorer, {"other": "math"})
