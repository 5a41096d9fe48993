"""The code of a stage, or of a verifier, does not change without a decision on its version, which is part of every
id."""

import json

import pytest

from posttrain.stages import STAGES
from rewards.load import KINDS
from tests.stages.code_digest import PINS, STAGE_CODE, closure, current, digest_of, modules_of

PINNED = sorted({f"stage {kind}" for kind in STAGES} | {f"verifier {kind}" for kind in KINDS})


def test_every_kind_is_pinned():
    assert set(STAGE_CODE) == set(STAGES)
    assert sorted(json.loads(PINS.read_text())) == sorted(current()) == PINNED


@pytest.mark.parametrize("what", PINNED)
def test_code_changed_only_with_a_decision(what):
    pinned, now = json.loads(PINS.read_text())[what], current()[what]
    assert now == pinned, (
        f"the code of {what} changed: if the same inputs now give other bytes or verdicts, raise its version "
        "(VERSION in posttrain/stages, "
        "version in rewards/load.py); then record the decision with: python tests/stages/code_digest.py"
    )


def test_a_verifiers_code_is_all_that_it_reaches():
    assert {
        "rewards/math/rule.py",
        "rewards/math/compare.py",
        "rewards/math/units.py",
        "rewards/prose/visible.py",
    } <= closure(modules_of("math"))
    assert {
        "rewards/rules/code.py",
        "sandbox/judge.py",
        "sandbox/judging/compare.py",
        "sandbox/judging/runnable_tests.py",
    } <= closure(modules_of("code"))
    assert not any(path.startswith("sandbox/") for path in closure(modules_of("math")))


def test_a_comment_is_no_change_and_a_statement_is(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.stages.code_digest.ROOT", tmp_path)
    file = tmp_path / "a.py"
    file.write_text('"""Doc."""\nx = 1\n')
    before = digest_of(("a.py",))
    file.write_text('"""Other words."""\n# a comment\nx  =  1\n')
    assert digest_of(("a.py",)) == before
    file.write_text('"""Doc."""\nx = 2\n')
    assert digest_of(("a.py",)) != before
