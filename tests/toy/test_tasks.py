"""The toy's rows: splits apart, golds right by an independent way of computing them, the same rows every time."""

import json
import re
import subprocess
import sys
from itertools import islice

import pytest

from posttrain.errors import DataError
from posttrain.toy import TASKS, conversations, gym_conversations, gym_prompts, pairs, prompts
from posttrain.toy.corpus import documents
from posttrain.toy.problem import HELD_OUT_SHARE, split_of

CHAIN = {"min_terms": 2, "max_terms": 3, "min_digits": 2, "max_digits": 2}


def _after_thinking(answer: str) -> str:
    return answer.partition("</think>")[2]


def _sum_from_text(question: str) -> int:
    """Solve a stem question from its words alone, with no code of the toy."""
    if question.startswith(("Compute", "What is")):
        return _by_hand(re.findall(r"[-+]?\d+", question.replace(" ", "")))
    total = int(re.search(r"has (\d+)", question)[1])
    for verb, number in re.findall(r", (gets|loses) (\d+)", question):
        total += int(number) if verb == "gets" else -int(number)
    return total


def _by_hand(parts: list[str]) -> int:
    total = int(parts[0])
    for part in parts[1:]:
        number = int(part[1:])
        total = total + number if part[0] == "+" else total - number
    return total


@pytest.mark.parametrize(("task", "rows"), [("stem", 800), ("code", 800), ("preference", 90)])
def test_splits_never_overlap_whatever_the_seed_and_difficulty(task: str, rows: int) -> None:
    keys: dict[str, set[str]] = {"train": set(), "held_out": set()}
    questions: dict[str, set[str]] = {"train": set(), "held_out": set()}
    for split in ("train", "held_out"):
        for seed, difficulty in ((0, (1, 5)), (1, (1, 3)), (2, (4, 5))):
            for prompt in prompts(task, rows, difficulty, split, seed):
                keys[split].add(prompt.metadata["key"])
                questions[split].add(prompt.messages[0]["content"])
    assert len(keys["train"]) > rows
    assert not keys["train"] & keys["held_out"]
    assert not questions["train"] & questions["held_out"]


def test_gym_splits_never_overlap_and_agree_with_the_toys_own_sums() -> None:
    train = {prompt.metadata["key"] for prompt in gym_prompts("chain_sum", 400, "train", 0, CHAIN)}
    held_out = {prompt.metadata["key"] for prompt in gym_prompts("chain_sum", 400, "held_out", 1, CHAIN)}
    own = {prompt.metadata["key"] for prompt in prompts("stem", 2000, (1, 3), "train", 0)}
    assert not train & held_out
    assert not own & held_out
    assert all(split_of(key) == "train" for key in train | own)


def test_about_the_stated_share_is_held_out() -> None:
    share = sum(split_of(f"stem/{number}+7") == "held_out" for number in range(4000)) / 4000
    assert abs(share - HELD_OUT_SHARE) < 0.03


def test_stem_golds_follow_from_the_words_of_the_question() -> None:
    for prompt in prompts("stem", 1500, (1, 5), "train", 3):
        assert prompt.gold == str(_sum_from_text(prompt.messages[0]["content"])), prompt


def test_every_step_of_a_worked_sum_is_a_true_equation() -> None:
    seen = 0
    for row in conversations("stem", 600, (1, 5), "train", 4):
        answer = row.messages[1]["content"]
        for left, right in re.findall(r"(?<![\d+-])(\d+(?:[-+]\d+)+)=(\d+)", answer):
            seen += 1
            assert _by_hand(re.findall(r"[-+]?\d+", left)) == int(right), answer
        assert f"\\boxed{{{_sum_from_text(row.messages[0]['content'])}}}" == _after_thinking(answer)
    assert seen > 1200


def test_chain_sum_golds_are_the_sums() -> None:
    asked, answered = (
        gym_prompts("chain_sum", 300, "train", 5, CHAIN),
        gym_conversations("chain_sum", 300, "train", 5, CHAIN),
    )
    for prompt, row in zip(asked, answered, strict=True):
        expression = prompt.messages[0]["content"].split(":")[1].replace(" ", "").rstrip("=")
        assert prompt.gold == str(_by_hand(re.findall(r"[-+]?\d+", expression)))
        assert row.messages[0] == prompt.messages[0]
        assert _after_thinking(row.messages[1]["content"]) == f"\\boxed{{{prompt.gold}}}"


@pytest.mark.parametrize("task", ["code", "code_worked"])
def test_code_answers_pass_their_golds_when_run(task: str) -> None:
    programs = []
    for prompt, row in zip(
        prompts(task, 300, (1, 5), "train", 6), conversations(task, 300, (1, 5), "train", 6), strict=True
    ):
        assert row.messages[0] == prompt.messages[0]
        source = re.fullmatch(r"```python\n(.*)\n```", _after_thinking(row.messages[1]["content"]), re.S)
        assert source, row
        programs.append({"source": source[1], **prompt.gold})
    script = (
        "import json, sys\n"
        "for program in json.load(sys.stdin):\n"
        "    names = {}\n"
        "    exec(program['source'], names)\n"
        "    for test in program['tests']:\n"
        "        assert names[program['entry_point']](*test['args']) == test['expected'], program\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], input=json.dumps(programs), text=True, check=True)


def test_code_tests_tell_a_function_from_the_one_that_returns_its_argument() -> None:
    golds = [prompt.gold for prompt in prompts("code", 300, (1, 3), "train", 7)]
    told = [any(test["args"][0] != test["expected"] for test in gold["tests"]) for gold in golds]
    assert sum(told) > 290


@pytest.mark.parametrize("task", sorted(TASKS))
def test_rows_are_the_same_every_time_and_more_rows_begin_with_fewer(task: str) -> None:
    first = list(conversations(task, 60, (1, 4), "train", 8))
    assert first == list(conversations(task, 60, (1, 4), "train", 8))
    assert first[:20] == list(conversations(task, 20, (1, 4), "train", 8))
    assert first != list(conversations(task, 60, (1, 4), "train", 9))
    assert [row.messages[0] for row in first] == [
        prompt.messages[0] for prompt in prompts(task, 60, (1, 4), "train", 8)
    ]
    assert len({row.messages[0]["content"] for row in first}) == 60


def test_the_corpus_is_the_same_every_time_and_has_no_chat() -> None:
    texts = list(islice(documents(3), 200))
    assert texts == list(islice(documents(3), 200))
    assert not any("<think>" in text or "<|" in text for text in texts)


def test_the_corpus_poses_no_held_out_sum() -> None:
    held_out = {prompt.metadata["key"].partition("/")[2] for prompt in prompts("stem", 1500, (1, 3), "held_out", 0)}
    texts = [text.replace(" ", "") for text in islice(documents(0), 3000)]
    posed = {found for text in texts for found in re.findall(r"(?:Compute|Whatis)([\d+-]+)[.?]", text)}
    assert len(posed) > 300
    assert not posed & held_out


def test_levels_stay_in_the_asked_range() -> None:
    assert {prompt.metadata["level"] for prompt in prompts("code", 200, (2, 4), "train", 0)} == {2, 3, 4}


@pytest.mark.parametrize(
    ("task", "rows", "difficulty", "says"),
    [
        ("stam", 5, (1, 2), "no toy task 'stam'"),
        ("stem", 5, (3, 1), "difficulty 3 to 1"),
        ("code", 5000, (1, 1), "only"),
    ],
)
def test_what_cannot_be_made_is_said(task: str, rows: int, difficulty: tuple[int, int], says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(prompts(task, rows, difficulty, "train", 0))


def test_pairs_exist_for_preference_only() -> None:
    with pytest.raises(DataError, match="no preference pairs"):
        list(pairs("stem", 5, (1, 2), "train", 0))


def test_unknown_gym_task_and_option_are_input_errors() -> None:
    with pytest.raises(DataError, match="chain_some"):
        list(gym_prompts("chain_some", 5, "train", 0, {}))
    with pytest.raises(DataError, match="chain_sum"):
        list(gym_prompts("chain_sum", 5, "train", 0, {"no_such_option": 1}))
