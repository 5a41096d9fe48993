"""A sample of benchmarks/verifier_judge_attacks.py: what fools a naive judge does not pass `agent` or `pairwise`, right
answers do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.judge_attacks.attacks import ATTACKS, FORMS, PROBLEMS, attempts
from benchmarks.judge_attacks.gullible import naive_judge, naive_pairwise, script, seen
from benchmarks.judge_attacks.server import ScriptedServer
from benchmarks.verifier_judge_attacks import open_judge, requests_of, right_answers
from rewards.contract.options import EndpointOptions
from rewards.load import build_verifier
from rewards.models.agent_prompt import ComparedTexts, label_prompt
from rewards.models.endpoint import Endpoint
from rewards.models.pairwise import pairwise_prompt
from rewards.services import Services

# Every attack where the gold is text; where it is a number, which costs two programs an attack, one in six.
SAMPLE = [*attempts(PROBLEMS[1:2], FORMS[1:2]), *list(attempts(PROBLEMS[:1], FORMS[1:2]))[::6]]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as opened:
        yield opened


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with open_judge() as judge:
        yield Services(judge=lambda: judge)


def model(server: ScriptedServer) -> dict[str, object]:
    return {"endpoint": server.url, "model": "gullible"}


def test_every_row_of_the_study_is_there() -> None:
    assert {attack.row for attack in ATTACKS} == set(range(73, 101))


def test_the_model_sees_no_attack_where_there_is_none() -> None:
    for problem in PROBLEMS:
        for form in (problem.gold, problem.wrong, *problem.right):
            texts = ComparedTexts(question=problem.question, gold=problem.gold, answer=form)
            assert seen(label_prompt(texts, [], may_run=True)) is None
            assert seen(pairwise_prompt(problem.question, form, problem.gold)) is None


def test_the_naive_judges_fall_for_most_of_them(server: ScriptedServer) -> None:
    naive = Endpoint(EndpointOptions(endpoint=server.url, model="gullible"))
    few = SAMPLE[::2]
    assert sum(naive_judge(naive, a.problem.question, a.problem.gold, a.response) for a in few) >= 0.6 * len(few)
    assert sum(naive_pairwise(naive, a.problem.question, a.problem.gold, a.response) for a in few) >= 0.6 * len(few)


def test_agent_accepts_none_of_them_and_the_right_answers_in_other_words(
    server: ScriptedServer, services: Services
) -> None:
    agent = build_verifier({"kind": "agent", "model": model(server)}, services)
    verdicts = [row[0] for row in agent.verify_many(requests_of(SAMPLE))]
    assert [a.response for a, v in zip(SAMPLE, verdicts, strict=True) if v.score != 0.0] == []
    right = [row[0] for row in agent.verify_many(right_answers()[:8])]
    assert all(verdict.passed for verdict in right)


def test_pairwise_prefers_none_of_them_and_a_better_answer_wins(server: ScriptedServer) -> None:
    pairwise = build_verifier({"kind": "pairwise", "model": model(server), "canaries": 0.0}, Services())
    verdicts = [row[0] for row in pairwise.verify_many(requests_of(SAMPLE))]
    assert [a.response for a, v in zip(SAMPLE, verdicts, strict=True) if v.passed] == []
    plain = [
        [type(row[0])(question=row[0].question, response="It is 24.", reference="It is 31.")]
        for row in right_answers()[:1]
    ]
    assert pairwise.verify_many(plain)[0][0].passed
