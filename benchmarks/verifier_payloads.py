"""Payloads in answers: each is proven to run in a naive grader, then given to every rule kind in every wrapping; how
many ran there.

    python benchmarks/verifier_payloads.py

The naive control is Python's eval, or sympy's parse_expr, in a throw-away subprocess in a temporary folder; all that a
payload does is to make one marker file or folder in it. Beside it: math-verify on the same answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.corpora.payloads import PAYLOADS, Payload, wrapped
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Request
from rewards.workers.pool import Limits, Pool

CONTROLS = {
    "eval": "import sys; eval(sys.argv[1])",
    "parse_expr": "import sys; from sympy.parsing.sympy_parser import parse_expr; parse_expr(sys.argv[1])",
}
GOLDS = ("4", "x^2+1", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}")
CALLS = [{"name": "f", "arguments": {"x": 4}}]
STRUCTURED = {"schema": {"type": "object", "properties": {"x": {"type": "string"}}}}
KINDS: list[tuple[dict[str, Any], Any]] = [
    *(({"kind": "math", "allow_unevaluated": True}, gold) for gold in GOLDS),
    ({"kind": "math"}, "4"),
    ({"kind": "cascade", "steps": [{"kind": "math"}, {"kind": "choice"}]}, "B"),
    ({"kind": "choice"}, "B"),
    ({"kind": "exact"}, "4"),
    ({"kind": "format"}, None),
    ({"kind": "repetition"}, None),
    ({"kind": "language", "language": "en"}, None),
    (
        {"kind": "instructions", "mode": "loose"},
        [{"id": "detectable_format:json_format"}, {"id": "keywords:existence", "keywords": ["4"]}],
    ),
    ({"kind": "tool_call"}, CALLS),
    ({"kind": "tool_call"}, STRUCTURED),
]
PEER = {
    "kind": "benchmarks.math_answers.peer:MathVerify",
    "options": {"kwargs": {}, "pass_at": 0.5},
    "think": ["<think>", "</think>"],
}


def runs_in_control(payload: Payload, folder: Path) -> bool:
    """Whether the naive control executes the payload: its marker is there afterwards."""
    marker = folder / "marker"
    command = [sys.executable, "-c", CONTROLS[payload.control], payload.aimed_at(str(marker))]
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return marker.exists()


def ran_in_kinds(payloads: list[Payload], folder: Path) -> list[str]:
    """What ran in our kinds. All answers of a kind go in one batch. A worker's file limit (0 bytes) still lets an empty
    marker be made."""
    markers = [folder / f"marker-{number}" for number in range(len(payloads))]
    answers = [
        text
        for payload, marker in zip(payloads, markers, strict=True)
        for text in wrapped(payload.aimed_at(str(marker)))
    ]
    for spec, gold in KINDS:
        verifier = build_verifier(spec, Services())
        verifier.verify_many([[Request(response=answer, gold=gold)] for answer in answers])
    time.sleep(0.2)  # a child process of a payload may be slower than the verdict
    return [payload.text for payload, marker in zip(payloads, markers, strict=True) if marker.exists()]


def ran_in_math_verify(payloads: list[Payload], folder: Path) -> int:
    markers = [folder / f"peer-{number}" for number in range(len(payloads))]
    answers = [
        text
        for payload, marker in zip(payloads, markers, strict=True)
        for text in wrapped(payload.aimed_at(str(marker)))
    ]
    pool = Pool(1, Limits(file_mb=-1))
    pool.run(PEER, "judge", [[{"response": answer, "gold": "4"}] for answer in answers], deadline_seconds=20.0)
    pool.close()
    return sum(marker.exists() for marker in markers)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        proven = []
        for number, payload in enumerate(PAYLOADS):
            folder = Path(name) / f"control-{number}"
            folder.mkdir()
            if runs_in_control(payload, folder):
                proven.append(payload)
            else:
                print(f"does not run in {payload.control}: {payload.text}")
        print(f"payloads proven to run in a naive control: {len(proven)} of {len(PAYLOADS)}")
        ran = ran_in_kinds(proven, Path(name))
        print(f"executed by our kinds ({len(KINDS)} settings, {len(wrapped(''))} wrappings each): {len(ran)}")
        print(f"executed by math-verify: {ran_in_math_verify(proven, Path(name))}")
        for text in ran:
            print("  EXECUTED", text)


if __name__ == "__main__":
    main()
