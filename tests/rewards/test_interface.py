"""The interface as users hold it: how a verifier is named, how it is asked, what becomes of an error."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.errors import VerifierError
from rewards.load import build_verifier, check_spec
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict

USER = "tests.rewards.user_verifiers"


def test_the_records_have_the_fields_that_plug_ins_rely_on() -> None:
    assert [f.name for f in dataclasses.fields(Request)] == [
        *("response", "gold", "question", "messages", "stop_reason", "num_tokens", "reference", "metadata")
    ]
    assert [f.name for f in dataclasses.fields(Verdict)] == [
        *("outcome", "score", "extracted", "reason", "certain", "certificate", "parts", "cost", "seconds")
    ]
    assert {str(outcome) for outcome in Outcome} == {"correct", "wrong", "abstain", "unsupported", "error", "timeout"}


@pytest.mark.parametrize(
    ("question", "messages", "text"),
    [
        ("17+25?", ({"role": "user", "content": "other"},), "17+25?"),
        (None, ({"role": "user", "content": "1?"}, {"role": "assistant", "content": "2"}), "1?"),
        ("", ({"role": "user", "content": "1?"}, {"role": "user", "content": "2?"}), "2?"),
        (None, ({"role": "user", "content": "1?"}, {"role": "user", "content": [{"type": "image"}]}), "1?"),
        (None, ({"role": "system", "content": "be brief"}, {"role": "user"}), ""),
        (None, (), ""),
    ],
)
def test_the_question_of_a_request_is_given_or_the_last_thing_a_user_wrote(
    question: str | None, messages: tuple[dict[str, object], ...], text: str
) -> None:
    assert Request(response="", question=question, messages=messages).question_text == text


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package as pip leaves it: its module, and metadata that names a verifier."""
    (tmp_path / "acme_graders.py").write_text(
        "def contains(question, response, gold, bonus=0.0):\n    return float(str(gold) in response) * (1 - bonus)\n",
        encoding="utf-8",
    )
    info = tmp_path / "acme_graders-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-graders\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[posttrain.verifiers]\nacme = acme_graders:contains\n", encoding="utf-8")
    # A worker that is up already: it must look where the caller looks now.
    build_verifier({"kind": f"{USER}:contains"}, Services(workers=1)).verify(Request(response="a", gold="a"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("acme_graders", None)


def test_an_installed_distribution_offers_its_verifier_by_entry_point(distribution: Path) -> None:
    check_spec({"kind": "acme", "bonus": 0.5})
    verdicts = build_verifier({"kind": "acme", "bonus": 0.5}, Services(workers=1)).verify_group(
        [Request(response=r, gold=4) for r in "45"]
    )
    assert [(v.outcome, v.score) for v in verdicts] == [(Outcome.CORRECT, 0.5), (Outcome.WRONG, 0.0)]
    with pytest.raises(VerifierError, match="acme"):
        check_spec({"kind": "acne"})
    with pytest.raises(VerifierError, match="bonus"):
        check_spec({"kind": "acme", "bonsu": 0.5})


def test_a_verifier_is_asked_from_a_running_loop_beside_other_tasks() -> None:
    verifier = build_verifier({"kind": "math"}, Services(workers=1))

    async def several() -> list[Verdict]:
        one, many = await asyncio.gather(
            verifier.averify(Request(response="4", gold="4")),
            verifier.averify_many([[Request(response="4", gold="4"), Request(response="5", gold="4")], []]),
        )
        return [one, *many[0]]

    assert [verdict.passed for verdict in asyncio.run(several())] == [True, True, False]


def test_one_answer_that_hangs_costs_the_others_of_its_group_nothing() -> None:
    verifier = build_verifier({"kind": f"{USER}:EachOfTheGroup", "deadline_seconds": 0.3}, Services(workers=1))
    for hang, reason in (("loop", "deadline"), ("sleep", "deadline")):
        found = verifier.verify_group([Request(response=response, gold="") for response in ("fine", hang, "fine")])
        assert [(v.outcome, v.score, v.reason) for v in found] == [
            (Outcome.CORRECT, 0.5, ""),
            (Outcome.TIMEOUT, 0.0, reason),
            (Outcome.CORRECT, 0.5, ""),
        ]


def test_a_coroutine_may_judge_a_whole_group() -> None:
    verifier = build_verifier({"kind": f"{USER}:AsyncGroup"}, Services(workers=1))
    assert [v.reason for v in verifier.verify_group([Request(response="a"), Request(response="b")])] == ["one of 2"] * 2
    assert verifier.verify(Request(response="a")).reason == "one of 1"


@pytest.mark.parametrize("how", ["raise", "report"])
def test_an_error_is_asked_once_more_alone(how: str, tmp_path: Path) -> None:
    verifier = build_verifier(
        {"kind": f"{USER}:BackAtTheSecondCall", "marker": str(tmp_path / "called")}, Services(workers=1)
    )
    assert verifier.verify(Request(response=how)).passed


def test_reward_and_filter_score_are_separate() -> None:
    cheap = build_verifier({"kind": "length", "max_tokens": 20, "cache_tokens": 10}, Services(workers=1)).verify(
        Request(response="", num_tokens=20)
    )
    assert cheap.passed and cheap.score == 0.0


def test_a_plug_in_that_imports_what_is_slow_where_it_needs_it_is_not_timed_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_come.py").write_text(
        "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end:\n    pass\n"
    )
    text = (
        "def judge(question, response, gold):\n    import slow_to_come\n    while response == 'loop':\n        "
        "pass\n    return 1.0\n"
    )
    (tmp_path / "imports_late.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    verifier = build_verifier({"kind": "imports_late:judge", "deadline_seconds": 0.3}, Services(workers=1))
    verdicts = verifier.verify_many([[Request(response=response)] for response in ("42", "loop", "42")])
    assert [(group[0].outcome, group[0].score) for group in verdicts] == [
        ("correct", 1.0),
        ("timeout", 0.0),
        ("correct", 1.0),
    ]
