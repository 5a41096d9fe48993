"""The rows that the demo's data stages mend, and the writer that they ask."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from posttrain.data.source import load_conversations
from posttrain.data.source_rows import load_source_rows
from posttrain.errors import DataError
from posttrain.factory.reconstruct import SUMMARY
from posttrain.factory.templates import Prompts
from posttrain.recipe.schema import ToyData
from posttrain.toy import chains
from posttrain.toy.collected import CANDIDATES, collected
from posttrain.toy.problem import split_of
from posttrain.toy.stem import draw

PROMPTS = Path(__file__).parents[2] / "recipes" / "prompts"
SPEC = ToyData(source="toy", task="stem_collected", rows=400, difficulty=(1, 3), seed=1)


def test_rows_are_wrong_repeated_and_leaked_about_as_often_as_stated() -> None:
    rows = list(collected(2000, (1, 3), "train", 5))
    wrong = [f"\\boxed{{{row.problem.gold}}}" not in text for row in rows for text in row.candidates]
    keys = [row.problem.key for row in rows]
    assert 0.37 < sum(wrong) / len(wrong) < 0.43
    assert 0.08 < 1 - len({row.problem.question for row in rows}) / len(rows) < 0.12
    assert 0.03 < sum(split_of(key) == "held_out" for key in keys) / len(keys) < 0.07
    assert rows[:2000] == list(collected(2000, (1, 3), "train", 5)) and rows != list(
        collected(2000, (1, 3), "train", 6)
    )


def test_data_stages_read_all_candidates_and_sft_the_first() -> None:
    rows = load_source_rows("raw", SPEC, Path("."))
    imitated = load_conversations("raw", SPEC, Path("."))
    assert len(rows.items) == 400 and all(len(row.answers) == CANDIDATES and row.gold for row in rows.items)
    assert [row.answers[0] for row in rows.items] == [row.messages[-1]["content"] for row in imitated.items]


def test_there_is_no_held_out_split_of_them() -> None:
    with pytest.raises(DataError, match="data to train on"):
        load_conversations("raw", SPEC.model_copy(update={"split": "held_out"}), Path("."))


def test_the_writer_is_taught_in_the_words_of_the_demos_prompts() -> None:
    prompts = Prompts("reconstruct", {name: PROMPTS / f"toy_{name}.jinja" for name in ("summary", "chain")})
    problem = draw(random.Random(0), 3)
    given = {"question": problem.question, "answer": f"\\boxed{{{problem.gold}}}"}
    shown = {**given, "reply_form": SUMMARY.said(structured=False)}
    assert prompts.text("summary", shown) == chains.summary_request(**given)
    shown = {**given, "summary": "1+2=3", "min_words": 1, "max_words": 9}
    assert prompts.text("chain", shown) == chains.chain_request(**given, summary="1+2=3")


def test_its_lessons_lead_to_the_answer_in_both_forms() -> None:
    rng = random.Random(3)
    kinds = set()
    for _ in range(40):
        problem = draw(rng, rng.choice((1, 2, 3)))
        request, reply = chains.lesson(problem, rng)
        kinds.add(is_outline := chains.REPLY_FORM in request)
        said = SUMMARY.read(reply, ("<think>", "</think>"), structured=False)["summary"] if is_outline else reply
        assert said.endswith(problem.gold)
    assert kinds == {True, False}
