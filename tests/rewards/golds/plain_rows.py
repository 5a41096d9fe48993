"""Rows of data sets whose golds are values, letters, constraints or tool calls, one for each public shape, made here:
the row, right answers, and wrong ones."""

from __future__ import annotations

import json
from typing import Any

from tests.rewards.golds.code_rows import Case

_WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "parameters": {
        "type": "dict",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
        "required": ["city"],
    },
}
_OPENAI = {"type": "function", "function": {**_WEATHER, "parameters": {**_WEATHER["parameters"], "type": "object"}}}
_ENVELOPE = [
    {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Oslo", "days": 2}'},
    }
]
_ASKED = [{"role": "user", "content": "Weather in Oslo for two days?"}]


def call(**arguments: Any) -> str:
    """An answer that calls the tool."""
    return f"<tool_call>\n{json.dumps({'name': 'get_weather', 'arguments': arguments})}\n</tool_call>"


def _rlvr(name: str, **arguments: Any) -> dict[str, Any]:
    padded = {"N": None, "quantifier": None, "keyword_list": None, "word": None, "end_phrase": None, "i": None}
    truth = {"func_name": name, **padded, **arguments}
    turns = [{"role": "user", "content": "Write about tea."}]
    return {"messages": turns, "ground_truth": json.dumps(truth), "dataset": "ifeval", "constraint": "..."}


CASES: dict[str, Case] = {
    # ------------------------------------------------------------ math
    "GSM8K": Case(
        format="GSM8K",
        row={
            "question": "Mia has 3 boxes of 400 pens. How many pens?",
            "answer": "Each box has 400.\nSo 3*400=<<3*400=1200>>1200 pens.\n#### 1,200",
        },
        right=("1200", "So she has \\boxed{1,200} pens.", "#### 1200"),
        wrong=("400", "\\boxed{120}", "3"),
    ),
    "MATH": Case(
        format="MATH",
        row={
            "problem": "Half of a third?",
            "solution": "First \\boxed{2} is a step. Then $\\frac{1}{2}\\cdot\\frac13 = \\boxed{\\frac{1}{6}}$.",
            "level": "Level 1",
            "type": "Prealgebra",
        },
        right=("\\boxed{1/6}", "The answer is $\\frac16$."),
        wrong=("\\boxed{2}", "\\boxed{\\frac{1}{5}}"),
    ),
    "MATH-500": Case(
        format="MATH",
        row={
            "problem": "Half of a third?",
            "solution": "It is $\\boxed{\\frac{1}{6}}$.",
            "answer": "\\frac{1}{6}",
            "subject": "Prealgebra",
            "level": 1,
            "unique_id": "x/1.json",
        },
        right=("\\boxed{1/6}",),
        wrong=("\\boxed{6}",),
    ),
    "NuminaMath-CoT": Case(
        format="NuminaMath",
        row={
            "source": "cn_k12",
            "problem": "Solve x + 2 = 5.",
            "solution": "We get $x = 3$, so \\boxed{3}.",
            "messages": [
                {"role": "user", "content": "Solve x + 2 = 5."},
                {"role": "assistant", "content": "\\boxed{3}"},
            ],
        },
        right=("\\boxed{3}",),
        wrong=("\\boxed{7}",),
    ),
    "NuminaMath-1.5": Case(
        format="NuminaMath",
        row={
            "problem": "Solve x + 2 = 5.",
            "solution": "x = 3.",
            "answer": "3",
            "problem_type": "Algebra",
            "question_type": "math-word-problem",
            "problem_is_valid": "Yes",
            "solution_is_valid": "Yes",
            "source": "olympiads",
            "synthetic": False,
        },
        right=("\\boxed{3}",),
        wrong=("\\boxed{5}",),
    ),
    "Big-Math": Case(
        format="Big-Math",
        row={
            "problem": "What is 2^10?",
            "answer": "1024",
            "source": "orca_math",
            "domain": ["Algebra"],
            "llama8b_solve_rate": 0.8,
        },
        right=("\\boxed{1024}",),
        wrong=("\\boxed{20}",),
    ),
    "AIME": Case(
        format="AIME",
        row={"ID": "2031-I-1", "Problem": "What is 5 + 4?", "Solution": "It is 9.", "Answer": 9},
        right=("\\boxed{9}", "\\boxed{009}"),
        wrong=("\\boxed{90}",),
    ),
    "AIME, leading zeros": Case(
        format="AIME",
        row={"problem": "What is 5 + 4?", "answer": "009", "url": "https://example.org"},
        right=("\\boxed{9}",),
        wrong=("\\boxed{0}",),
    ),
    "Omni-MATH": Case(
        format="Omni-MATH",
        row={
            "domain": ["Mathematics -> Algebra"],
            "difficulty": 4.5,
            "problem": "Roots of x^2 = 4?",
            "solution": "...",
            "answer": "$\\{-2, 2\\}$",
            "source": "own",
        },
        right=("\\boxed{\\{2, -2\\}}",),
        wrong=("\\boxed{2}",),
    ),
    "DeepScaleR": Case(
        format="DeepScaleR",
        row={"problem": "What is 3/4 of 2?", "answer": "\\frac{3}{2}"},
        right=("\\boxed{1.5}",),
        wrong=("\\boxed{\\frac{2}{3}}",),
    ),
    "OlympiadBench": Case(
        format="OlympiadBench",
        row={
            "question": "What is 1/3 in decimals?",
            "solution": ["..."],
            "final_answer": ["$0.333$"],
            "is_multiple_answer": False,
            "answer_type": "Numerical",
            "unit": None,
            "error": "1e-2",
        },
        right=("\\boxed{0.333}", "\\boxed{0.33}"),
        wrong=("\\boxed{0.4}",),
    ),
    "verl, DAPO": Case(
        format="verl",
        row={
            "data_source": "math_dapo",
            "prompt": [{"role": "user", "content": "What is 6 * 7?"}],
            "ability": "MATH",
            "reward_model": {"ground_truth": "42", "style": "rule-lighteval/MATH_v2"},
            "extra_info": {"index": "a-b"},
        },
        right=("Answer: 42", "\\boxed{42}"),
        wrong=("Answer: 13",),
    ),
    "verl, Skywork's list as text": Case(
        format="verl",
        row={
            "data_source": "train-math",
            "prompt": [{"role": "user", "content": "Half?"}],
            "reward_model": {"ground_truth": '["\\\\frac{1}{2}"]', "style": "rule"},
        },
        right=("\\boxed{0.5}",),
        wrong=("\\boxed{2}",),
    ),
    "open-instruct, math": Case(
        format="open-instruct",
        row={"messages": [{"role": "user", "content": "6 * 7?"}], "ground_truth": "42", "dataset": "gsm8k"},
        right=("So the answer is 42.",),
        wrong=("So the answer is 13.",),
    ),
    "rLLM": Case(
        format="open-instruct",
        row={"question": "6 * 7?", "ground_truth": "42", "data_source": "deepscaler"},
        right=("\\boxed{42}",),
        wrong=("\\boxed{13}",),
    ),
    "SkyRL": Case(
        format="verl",
        row={
            "data_source": "own",
            "prompt": [{"role": "user", "content": "6 * 7?"}],
            "env_class": "gsm8k",
            "reward_spec": {"method": "rule", "ground_truth": "42"},
        },
        right=("#### 42",),
        wrong=("#### 13",),
    ),
    "NeMo-Gym, math": Case(
        format="NeMo-Gym",
        row={
            "responses_create_params": {"input": [{"role": "user", "content": "6 * 7?"}]},
            "question": "6 * 7?",
            "expected_answer": "42",
        },
        right=("\\boxed{42}",),
        wrong=("\\boxed{13}",),
    ),
    "PrimeIntellect, math": Case(
        format="PrimeIntellect",
        row={"prompt": "6 * 7?", "verification_info": '{"ground_truth": "42"}', "task_type": "verifiable_math"},
        right=("\\boxed{42}",),
        wrong=("\\boxed{13}",),
    ),
    # ------------------------------------------------------------ choice
    "MMLU": Case(
        format="MMLU",
        row={
            "question": "Which is a metal?",
            "subject": "chemistry",
            "choices": ["neon", "zinc", "sulfur", "argon"],
            "answer": 1,
        },
        right=("Answer: B", "The answer is (B) zinc."),
        wrong=("Answer: A", "Answer: C"),
    ),
    "MMLU, an option a column": Case(
        format="MMLU",
        row={"Question": "Which is a metal?", "A": "neon", "B": "zinc", "C": "argon", "D": "sulfur", "Answer": "B"},
        right=("Answer: B",),
        wrong=("Answer: D",),
    ),
    "MedMCQA": Case(
        format="MMLU",
        row={"question": "Which is a metal?", "opa": "neon", "opb": "zinc", "opc": "argon", "opd": "sulfur", "cop": 1},
        right=("Answer: B",),
        wrong=("Answer: A",),
    ),
    "AQuA": Case(
        format="MMLU-Pro",
        row={"question": "What is 20 + 2?", "options": ["A)21", "B)22", "C)3.5"], "correct": "B", "rationale": ""},
        right=("Answer: B", "The answer is 22."),
        wrong=("Answer: A", "The answer is 21."),
    ),
    "ARC's own files": Case(
        format="ARC",
        row={
            "question": {
                "stem": "Which is a metal?",
                "choices": [{"text": "neon", "label": "A"}, {"text": "zinc", "label": "B"}],
            },
            "answerKey": "B",
        },
        right=("Answer: B",),
        wrong=("Answer: A",),
    ),
    "MMLU-Pro": Case(
        format="MMLU-Pro",
        row={
            "question_id": 4,
            "question": "Which is a metal?",
            "options": ["neon", "zinc", "argon", "sulfur", "helium", "iodine", "xenon", "krypton", "radon", "boron"],
            "answer": "B",
            "answer_index": 1,
            "cot_content": "",
            "category": "chemistry",
            "src": "own",
        },
        right=("Answer: B",),
        wrong=("Answer: J",),
    ),
    "GPQA": Case(
        format="GPQA",
        row={
            "Question": "Which is a metal?",
            "Correct Answer": "zinc\n",
            "Incorrect Answer 1": "neon",
            "Incorrect Answer 2": "argon",
            "Incorrect Answer 3": "sulfur",
            "Record ID": "r1",
        },
        right=("The answer is zinc.",),
        wrong=("The answer is neon.", "The answer is sulfur."),
    ),
    "ARC, labels that are numbers": Case(
        format="ARC",
        row={
            "id": "M_1",
            "question": "Which is a metal?",
            "choices": {"text": ["neon", "zinc", "argon"], "label": ["1", "2", "3"]},
            "answerKey": "2",
        },
        right=("Answer: B",),
        wrong=("Answer: A",),
    ),
    "OpenBookQA": Case(
        format="ARC",
        row={"question_stem": "A metal?", "choices": {"text": ["neon", "zinc"], "label": ["A", "B"]}, "answerKey": "B"},
        right=("Answer: B",),
        wrong=("Answer: A",),
    ),
    "MedQA": Case(
        format="MMLU-Pro",
        row={
            "question": "Which is a metal?",
            "answer": "zinc",
            "options": {"A": "neon", "B": "zinc", "C": "argon", "D": None},
            "answer_idx": "B",
        },
        right=("Answer: B",),
        wrong=("Answer: C",),
    ),
    "SciQ": Case(
        format="SciQ",
        row={
            "question": "Which is a metal?",
            "correct_answer": "zinc",
            "distractor1": "neon",
            "distractor2": "argon",
            "distractor3": "sulfur",
            "support": "",
        },
        right=("The answer is zinc.",),
        wrong=("The answer is argon.",),
    ),
    # ------------------------------------------------------------ instructions
    "IFEval, kwargs padded with nulls": Case(
        format="IFEval",
        row={
            "key": 1000,
            "prompt": "Write about tea, without commas, in at least 5 words.",
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
            "kwargs": [
                {"num_words": None, "relation": None, "keywords": None},
                {"num_words": 5, "relation": "at least", "keywords": None},
            ],
        },
        right=("Tea is hot and good today.",),
        wrong=("Tea, hot and good today now.", "Tea is hot."),
    ),
    "IFBench": Case(
        format="IFBench",
        row={
            "key": "1",
            "prompt": "Write about tea in two to four words.",
            "instruction_id_list": ["count:word_count_range"],
            "kwargs": [{"min_words": 2, "max_words": 4, "N": None}],
        },
        right=("Tea is good.",),
        wrong=("Tea.", "Tea is good and hot today."),
    ),
    "RLVR-IFeval, a count": Case(
        format="RLVR-IFeval",
        row=_rlvr("verify_keyword_frequency", word="tea", N=2),
        right=("I like tea and more tea.",),
        wrong=("I like tea.", "tea tea tea", "tea in a teapot"),
    ),
    "RLVR-IFeval, around so many words": Case(
        format="RLVR-IFeval",
        row=_rlvr("validate_word_constraint", N=20, quantifier="around"),
        right=("tea " * 18, "tea " * 22),
        wrong=("tea " * 17, "tea " * 23),
    ),
    "RLVR-IFeval, an end": Case(
        format="RLVR-IFeval",
        row=_rlvr("validate_end", end_phrase="That is all."),
        right=("I like tea. That is all.",),
        wrong=("That is all. I like tea.",),
    ),
    "several constraints as JSON text": Case(
        format="RLVR-IFeval",
        row={
            "messages": [{"role": "user", "content": "Write about tea."}],
            "ground_truth": json.dumps(
                [
                    {
                        "instruction_id": ["punctuation:no_comma", "startend:end_checker"],
                        "kwargs": [None, {"end_phrase": "Bye."}],
                    }
                ]
            ),
            "dataset": "if_multi",
        },
        right=("Tea is good. Bye.",),
        wrong=("Tea is good.", "Tea, good. Bye."),
    ),
    "several constraints as Python prints them": Case(
        format="RLVR-IFeval",
        row={
            "messages": [{"role": "user", "content": "Write about tea."}],
            "ground_truth": str([{"instruction_id": ["punctuation:no_comma"], "kwargs": [None]}]),
            "dataset": "if_multi",
        },
        right=("Tea is good.",),
        wrong=("Tea, good.",),
    ),
    # ------------------------------------------------------------ tool calls
    "BFCL": Case(
        format="BFCL",
        row={
            "id": "simple_1",
            "question": json.dumps([_ASKED]),
            "function": json.dumps([_WEATHER]),
            "ground_truth": json.dumps(
                [{"get_weather": {"city": ["Oslo", "Oslo, Norway"], "days": [2], "unit": ["", "C"]}}]
            ),
        },
        right=(call(city="Oslo", days=2), call(city="Oslo, Norway", days=2, unit="C")),
        wrong=(call(city="Bergen", days=2), call(city="Oslo", days=3), call(city="Oslo"), "It is sunny."),
    ),
    "BFCL, no call is right": Case(
        format="BFCL",
        row={"id": "irrelevance_1", "question": [[{"role": "user", "content": "Hello?"}]], "function": [_WEATHER]},
        right=("Hello! I have no tool for that.",),
        wrong=(call(city="Oslo"),),
    ),
    "xLAM": Case(
        format="xLAM",
        row={
            "id": 0,
            "query": "Weather in Oslo for two days?",
            "tools": json.dumps(
                [
                    {
                        "name": "get_weather",
                        "description": "Weather.",
                        "parameters": {
                            "city": {"description": "city", "type": "str"},
                            "days": {"description": "days", "type": "int, optional", "default": 1},
                        },
                    }
                ]
            ),
            "answers": json.dumps([{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}]),
        },
        right=(call(city="Oslo", days=2),),
        wrong=(call(city="Oslo"), call(city="Oslo", days="2")),
    ),
    "OpenAI's tool calls in a column": Case(
        format="OpenAI tool calls",
        row={"prompt": "Weather in Oslo for two days?", "tools": [_OPENAI], "tool_calls": json.dumps(_ENVELOPE)},
        right=(call(city="Oslo", days=2),),
        wrong=(call(city="Oslo", days=1), "Sunny."),
    ),
    "OpenAI's tool calls in the last turn": Case(
        format="OpenAI tool calls",
        row={
            "messages": [*_ASKED, {"role": "assistant", "content": None, "tool_calls": _ENVELOPE}],
            "tools": json.dumps([_OPENAI]),
        },
        right=(call(city="Oslo", days=2),),
        wrong=(call(city="Oslo", days=1),),
    ),
    "a message with OpenAI's tool calls": Case(
        format="OpenAI tool calls",
        row={
            "prompt": _ASKED,
            "tools": [_OPENAI],
            "completion": [{"role": "assistant", "content": None, "tool_calls": _ENVELOPE}],
        },
        right=(call(city="Oslo", days=2),),
        wrong=(call(city="Bergen", days=2),),
    ),
    "verl, BFCL's possible answers": Case(
        format="verl",
        row={"prompt": _ASKED, "reward_model": {"ground_truth": '[{"get_weather": {"city": ["Oslo", "oslo"]}}]'}},
        right=(call(city="oslo"),),
        wrong=(call(city="Bergen"),),
    ),
    "our own tool calls as JSON text": Case(
        format="JSON text",
        row={
            "prompt": "Weather in Oslo?",
            "gold": json.dumps({"calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}),
        },
        right=(call(city="Oslo"),),
        wrong=(call(city="Bergen"),),
    ),
}
