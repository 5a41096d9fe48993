"""`posttrain verifier new NAME`: a working verifier of the user's own, its test and labelled samples. Writes nothing
over what exists."""

from __future__ import annotations

import keyword
from pathlib import Path

from rewards.errors import VerifierError

_MODULE = '''"""A verifier of my own. In a recipe:  verifiers: {{mine: {{kind: "{name}:{title}", tolerance: 0.01}}}}

Check it:  posttrain verifier test {name}:{title} --set tolerance=0.01 --samples {name}.jsonl
Try it:  echo '{{"id": 1, "response": "about 3.14", "gold": 3.14159}}' \\
           | posttrain verify --verifier {name}:{title} --set tolerance=0.01
"""

from __future__ import annotations

import re

from posttrain import Outcome, Request, Verdict


class {title}:
    """Right when the last number of the answer is within `tolerance` of the gold. Runs in a worker with a deadline."""

    def __init__(self, tolerance: float = 0.001) -> None:
        self.tolerance = tolerance

    def verify(self, request: Request) -> Verdict:
        if not isinstance(request.gold, (int, float)):
            return Verdict(outcome=Outcome.UNSUPPORTED, score=None, reason="gold_is_no_number")
        visible = request.response.rpartition("</think>")[2]
        numbers = re.findall(r"-?\\d+(?:\\.\\d+)?", visible)
        if not numbers:
            return Verdict(outcome=Outcome.WRONG, score=0.0, reason="no_number")
        right = abs(float(numbers[-1]) - request.gold) <= self.tolerance
        return Verdict(
            outcome=Outcome.CORRECT if right else Outcome.WRONG,
            score=float(right),
            extracted=numbers[-1],
            reason="within_tolerance" if right else "too_far",
        )

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return [self.verify(request) for request in requests]
'''

_TEST = '''"""The verifier says yes to right answers, no to wrong ones, and nothing where it cannot tell."""

from __future__ import annotations

import pytest
from posttrain import Outcome, Request

from {name} import {title}


@pytest.mark.parametrize(
    ("response", "gold", "outcome"),
    [
        ("It is 3.14", 3.1415, Outcome.CORRECT),
        ("It is 3.2", 3.1415, Outcome.WRONG),
        ("<think>3.14</think>I do not know", 3.14, Outcome.WRONG),
        ("3.14", "pi", Outcome.UNSUPPORTED),
    ],
)
def test_answers_are_judged_by_their_last_number(response: str, gold: object, outcome: Outcome) -> None:
    assert {title}(tolerance=0.01).verify(Request(response=response, gold=gold)).outcome is outcome


def test_a_group_gets_one_verdict_an_answer_in_order() -> None:
    requests = [Request(response=str(n), gold=2) for n in (1, 2, 3)]
    assert [verdict.passed for verdict in {title}().verify_group(requests)] == [False, True, False]
'''


_SAMPLES = """{"response": "It is 3.1416", "gold": 3.14159, "expected": true}
{"response": "It is 3.2", "gold": 3.14159, "expected": false}
{"response": "<think>3.14</think>I do not know", "gold": 3.14, "expected": false}
"""


def write_example(name: str, folder: Path) -> list[Path]:
    """Write NAME.py, test_NAME.py and NAME.jsonl; returns the paths. Raises VerifierError for a bad name or a file that
    is there."""
    if not name.isidentifier() or keyword.iskeyword(name) or not name.islower():
        raise VerifierError(
            f"{name!r} is no module name",
            where="NAME",
            remedy="lower-case letters, digits and _, such as unit_verifier",
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    texts = {
        f"{name}.py": _MODULE.format(name=name, title=title),
        f"test_{name}.py": _TEST.format(name=name, title=title),
    }
    paths = {folder / file: text for file, text in {**texts, f"{name}.jsonl": _SAMPLES}.items()}
    for path in paths:
        if path.exists():
            raise VerifierError(f"{path} exists", remedy="choose another name, or move the file away")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in paths.items():
        path.write_text(text, encoding="utf-8")
    return list(paths)
