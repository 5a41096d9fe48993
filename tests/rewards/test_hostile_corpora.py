"""A sample of the corpora that the benchmarks run in full: answers that hang graders, and answers that run code in
them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.corpora.hangs import Hang, hangs
from benchmarks.corpora.payloads import PAYLOADS, Payload, wrapped
from benchmarks.verifier_payloads import CONTROLS, KINDS
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request

HANGS = hangs()
SAMPLE = 4  # rows of a family of hangs, shortest first; every fourth payload


def short_rows_by_kind() -> dict[str, list[Hang]]:
    families: defaultdict[str, list[Hang]] = defaultdict(list)
    for row in HANGS:
        families[row.name.rpartition("/")[0]].append(row)
    kinds: defaultdict[str, list[Hang]] = defaultdict(list)
    for rows in families.values():
        kinds[rows[0].spec["kind"]] += sorted(rows, key=lambda row: len(row.response))[:SAMPLE]
    return kinds


def test_the_hang_corpus_covers_every_rule_kind() -> None:
    assert len(HANGS) >= 200
    assert {row.spec["kind"] for row in HANGS} >= {
        "math",
        "choice",
        "exact",
        "format",
        "language",
        "repetition",
        "instructions",
        "tool_call",
    }


@pytest.mark.parametrize("kind", sorted(short_rows_by_kind()))
def test_no_answer_made_to_hang_is_accepted_or_loses_a_worker(kind: str) -> None:
    for row in short_rows_by_kind()[kind]:
        verifier = build_verifier({**row.spec, "deadline_seconds": 0.5}, Services())
        verdict = verifier.verify(Request(response=row.response, gold=row.gold))
        assert verdict.outcome in (Outcome.WRONG, Outcome.ABSTAIN, Outcome.TIMEOUT), (row.name, verdict)
        assert verdict.score == 0.0 or kind == "repetition", (row.name, verdict)  # that one pays the share that is new


def prove(payloads: list[Payload], control: str, folder: Path) -> list[Path]:
    """Run the payloads in the naive control, in one process of its own; the markers they were aimed at."""
    markers = [folder / f"{control}-{number}" for number in range(len(payloads))]
    aimed = [payload.aimed_at(str(marker)) for payload, marker in zip(payloads, markers, strict=True)]
    each = CONTROLS[control].removeprefix("import sys; ").replace("sys.argv[1]", "text")
    *imports, call = each.split("; ")
    lines = [
        *imports,
        "import json, sys",
        "for text in json.loads(sys.argv[1]):",
        "    try:",
        f"        {call}",
        "    except Exception:",
        "        pass",
    ]
    subprocess.run(
        [sys.executable, "-c", "\n".join(lines), json.dumps(aimed)],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=True,
    )
    return markers


def test_payloads_run_in_a_naive_grader_and_in_none_of_ours(tmp_path: Path) -> None:
    assert len(PAYLOADS) >= 50
    sample = PAYLOADS[::SAMPLE]
    for control in CONTROLS:
        aimed = [payload for payload in sample if payload.control == control]
        assert aimed and all(marker.exists() for marker in prove(aimed, control, tmp_path))
    markers = [tmp_path / f"ours-{number}" for number in range(len(sample))]
    answers = [
        text for payload, marker in zip(sample, markers, strict=True) for text in wrapped(payload.aimed_at(str(marker)))
    ]
    for spec, gold in KINDS:
        verdicts = build_verifier(spec, Services()).verify_many(
            [[Request(response=answer, gold=gold)] for answer in answers]
        )
        assert Outcome.ERROR not in {verdict.outcome for group in verdicts for verdict in group}
    time.sleep(0.1)
    assert not [marker for marker in markers if marker.exists()]
