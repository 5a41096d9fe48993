"""What a toy writer is taught: to lead from a question to an answer that is known, first as an outline, then in full.

The requests are those of the demo's prompts (recipes/prompts/toy_summary.jinja, toy_chain.jinja), word for word.
Standard library only.
"""

from __future__ import annotations

import random

from posttrain.toy import stem
from posttrain.toy.problem import Problem

REPLY_FORM = (
    "Reply in exactly this form, each tag once, and with nothing after it:\n"
    "<summary>the steps, three to eight short sentences</summary>"
)


def lesson(problem: Problem, rng: random.Random) -> tuple[str, str]:
    """(request, reply) on a stem problem: its outline or its full chain, half of the time each. The chain's last line
    is its result, by which rules can tell where it arrives."""
    answer = f"\\boxed{{{problem.gold}}}"
    outline, chain = (stem.solution(problem.facts["terms"], careful) for careful in (False, True))
    if rng.random() < 0.5:
        return summary_request(problem.question, answer), f"<summary>{outline}</summary>"
    return chain_request(problem.question, answer, outline), f"{chain}\n{problem.gold}"


def summary_request(question: str, answer: str) -> str:
    return f"Question: {question}\nAnswer: {answer}\n{REPLY_FORM}"


def chain_request(question: str, answer: str, summary: str) -> str:
    return f"Question: {question}\nSteps: {summary}\nAnswer: {answer}\nEach step in full:"
