"""Specs from recipes: what is wrong is named with what is near; plug-ins of every shape; nothing heavy is imported to
check."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from rewards.contract.options import AgentOptions, EndpointOptions, PairwiseOptions
from rewards.errors import VerifierError
from rewards.load import KINDS, build_verifier, check_spec
from rewards.services import Services
from rewards.types import Outcome, Request, Verifier

USER = "tests.rewards.user_verifiers"


@pytest.mark.parametrize(
    ("spec", "where", "says"),
    [
        ({}, "verifier.kind", "module:Name"),
        ({"kind": "mth"}, "verifier.kind", "math"),
        ({"kind": "math", "symbolc": True}, "verifier", "symbolic"),
        ({"kind": "math", "wieght": 1}, "verifier", "weight"),
        ({"kind": "math", "symbolic": "yes"}, "verifier.symbolic", "bool"),
        ({"kind": "math", "deadline_seconds": 0}, "verifier.deadline_seconds", "more than 0"),
        ({"kind": "math", "weight": -1}, "verifier.weight", "0 or more"),
        ({"kind": "math", "on_truncated": "maybe"}, "verifier.on_truncated", "'zero'"),
        ({"kind": "length"}, "verifier", "max_tokens"),
        ({"kind": "length", "max_tokens": 10, "cache_tokens": 11}, "verifier.cache_tokens", "0 to max_tokens"),
        ({"kind": "language", "language": "frensh"}, "verifier.language", "french"),
        ({"kind": "instructions", "mode": "lose"}, "verifier.mode", "'loose'"),
        ({"kind": "tool_call", "tags": ["<call>"]}, "verifier.tags", "an opening and a closing one"),
        ({"kind": "cascade"}, "verifier", "steps"),
        ({"kind": "cascade", "steps": []}, "verifier.steps", "no steps"),
        ({"kind": "cascade", "steps": ["math"]}, "verifier.steps.0", "kind: ..."),
        ({"kind": "all", "steps": [{"kind": "math"}, {"kind": "choise"}]}, "verifier.steps.1.kind", "choice"),
        (
            {"kind": "cascade", "steps": [{"kind": "any", "steps": [{"kind": "coed"}]}]},
            "verifier.steps.0.steps.0.kind",
            "code",
        ),
        (
            {"kind": "cascade", "steps": [{"kind": "math", "on_abstain": "skip"}]},
            "verifier.steps.0.on_abstain",
            "cascade itself",
        ),
        ({"kind": "pairwise"}, "verifier", "model"),
        ({"kind": "agent", "model": {"endpoint": "http://h/v1"}}, "verifier.model", "model"),
        ({"kind": "agent", "model": {"stage": "judge"}, "sure": 1.5}, "verifier.sure", "0 to 1"),
        ({"kind": "pairwise", "model": {"stage": "judge"}, "against": "all"}, "verifier.against", "reference"),
        ({"kind": "no.such.module:Name"}, "verifier.kind", "cannot be imported"),
        ({"kind": f"{USER}:Nothing"}, "verifier.kind", "cannot be imported"),
        ({"kind": f"{USER}:NOT_A_VERIFIER"}, "verifier.kind", "expected a function or a class"),
        ({"kind": f"{USER}:Signed"}, "verifier", "needs sign"),
        ({"kind": f"{USER}:Signed", "sign": "+", "bonsu": 1}, "verifier", "bonus"),
        ({"kind": f"{USER}:contains", "factor": 1}, "verifier", "unknown option"),
    ],
)
def test_a_wrong_spec_is_refused_with_its_place_and_what_is_near(spec: dict[str, Any], where: str, says: str) -> None:
    with pytest.raises(VerifierError) as caught:
        check_spec(spec)
    assert caught.value.where == where
    assert says in str(caught.value)
    assert caught.value.exit_code == 2
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # errors cross process boundaries


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("torn_verifier", "class V(:\n", "SyntaxError"),
        ("leaving_verifier", "import sys\nsys.exit()\n", r"SystemExit:  \(.*leaving_verifier\.py:2\)"),
    ],
)
def test_a_verifier_whose_module_breaks_at_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, says: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(VerifierError, match=f"cannot be imported: {says}"):
        check_spec({"kind": f"{name}:V"})


LEAST: dict[str, dict[str, Any]] = {
    "length": {"max_tokens": 10},
    "pairwise": {"model": {"stage": "judge"}},
    "agent": {"model": {"endpoint": "http://127.0.0.1:9/v1", "model": "judge"}},
    **{kind: {"steps": [{"kind": "math"}]} for kind in ("cascade", "all", "any", "weighted")},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_builds_from_its_least_spec_and_is_a_verifier(kind: str) -> None:
    spec = {"kind": kind, **LEAST.get(kind, {})}
    check_spec(spec)
    assert isinstance(build_verifier(spec, Services()), Verifier)


def test_checking_a_spec_imports_nothing_heavy() -> None:
    code = (
        "import sys, json\nfrom rewards.load import check_spec\n"
        "check_spec({'kind': 'cascade', 'steps': [{'kind': 'math'}, {'kind': 'code'}]})\n"
        "print(json.dumps([m for m in ('sympy', 'mpmath', 'math_verify', 'torch', 'ray', 'numpy', 'posttrain') if m "
        "in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_plain_function_is_enough() -> None:
    verifier = build_verifier({"kind": f"{USER}:contains"}, Services())
    verdicts = verifier.verify_group([Request(response="it is 4", gold=4), Request(response="it is 5", gold=4)])
    assert [(v.outcome, v.score) for v in verdicts] == [(Outcome.CORRECT, 1.0), (Outcome.WRONG, 0.0)]


def test_a_function_takes_options_and_may_abstain() -> None:
    verifier = build_verifier({"kind": f"{USER}:behaves_as_told", "factor": 0.5, "on_abstain": "skip"}, Services())
    half, silent = verifier.verify_group([Request(response="fine"), Request(response="none")])
    assert (half.outcome, half.score) == (Outcome.WRONG, 0.25)
    assert (silent.outcome, silent.score) == (Outcome.ABSTAIN, None)


def test_a_class_gets_its_options() -> None:
    verifier = build_verifier({"kind": f"{USER}:Signed", "sign": "+"}, Services())
    assert [v.passed for v in verifier.verify_group([Request(response="+1"), Request(response="-1")])] == [True, False]


def test_a_class_may_judge_its_group_as_a_whole() -> None:
    verifier = build_verifier({"kind": f"{USER}:Longest"}, Services())
    groups = [[Request(response="a"), Request(response="aa")], [Request(response="bbb"), Request(response="b")]]
    assert [[v.passed for v in group] for group in verifier.verify_many(groups)] == [[False, True], [True, False]]


def test_a_group_of_another_length_is_an_error_for_all_of_it() -> None:
    verifier = build_verifier({"kind": f"{USER}:OneShort"}, Services())
    verdicts = verifier.verify_group([Request(response="a"), Request(response="b")])
    assert {(v.outcome, v.score, v.reason) for v in verdicts} == {(Outcome.ERROR, None, "wrong_length")}


def test_a_coroutine_is_awaited() -> None:
    assert build_verifier({"kind": f"{USER}:Waiting"}, Services()).verify(Request(response="")).reason == "awaited"


def test_the_options_of_kinds_that_ask_a_model_are_the_frozen_ones() -> None:
    """Adding, renaming or removing one means editing this list in the same change."""
    found = {
        record.__name__: " ".join(f.name for f in fields(record))
        for record in (AgentOptions, PairwiseOptions, EndpointOptions)
    }
    assert found == {
        "AgentOptions": "model max_chars question_chars sure budget_tokens budget_seconds cache",
        "PairwiseOptions": (
            "model against opponents score max_chars question_chars max_marks cross_check canaries max_canary_wins"
        ),
        "EndpointOptions": "endpoint model api_key_env timeout_seconds retries parallel extra",
    }
