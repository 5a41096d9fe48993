"""How scored groups are written to disk, one JSON line a prompt. No clock times: published bytes must repeat."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from posttrain.records.codec import as_json, from_json
from posttrain.records.rollouts import AnswerRow, JudgedRow, PromptRow, json_rows, prompt_row
from posttrain.store.failpoints import failpoint
from posttrain.store.jsonl import read_lines
from posttrain.types import Completion, Prompt, RolloutGroup, Segment, StopReason
from rewards.types import Outcome, Verdict


def write_groups(path: Path, groups: Iterable[RolloutGroup]) -> None:
    """Write whole or not at all, with the tokens of every answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    failpoint("rollouts.write.before")
    with partial.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(as_json(prompt_row(group)), ensure_ascii=False) + "\n" for group in groups)
        out.flush()
        os.fsync(out.fileno())
    failpoint("rollouts.rename.before")
    partial.rename(path)
    failpoint("rollouts.rename.after")


def read_groups(path: Path, prompts: Sequence[Prompt]) -> list[RolloutGroup]:
    """What `write_groups` wrote of these prompts, in order, with tokens; prompt_ids are (). Raises ValueError (other
    prompts), EOFError."""
    rows = read_lines(path)
    if len(rows) < len(prompts):
        raise EOFError(f"{path} ends after {len(rows)} of {len(prompts)} rows")
    groups = []
    for prompt, value in zip(prompts, rows, strict=True):
        row = from_json(PromptRow, value, str(path))
        if (row.source, row.prompt_id) != (prompt.source, prompt.id):
            raise ValueError(
                f"{path} holds answers to {row.source}/{row.prompt_id} where {prompt.source}/{prompt.id} was asked"
            )
        groups.append(
            RolloutGroup(
                prompt=prompt,
                prompt_ids=(),
                completions=tuple(_completion(answer, row.policy_version) for answer in row.completions),
                verdicts=tuple(_verdict(answer.verdict) for answer in row.completions if answer.verdict is not None),
            )
        )
    return groups


def read_answers(path: Path) -> Iterator[tuple[tuple[str, str, str], tuple[Completion, ...]]]:
    """Of what `write_groups` wrote: (source, id, last turn) of each prompt, and its answers with their tokens. One
    prompt at a time."""
    for value in json_rows(path):
        row = from_json(PromptRow, value, str(path))
        yield (
            (row.source, row.prompt_id, row.prompt),
            tuple(_completion(one, row.policy_version) for one in row.completions),
        )


def _verdict(row: JudgedRow) -> Verdict:
    """Of what is not published (`certain`, evidence other than a transcript, cost, seconds) the defaults stand: it
    steers nothing once a verdict is given."""
    return Verdict(
        outcome=Outcome(row.outcome),
        score=row.score,
        extracted=row.extracted,
        reason=row.reason,
        parts=dict(row.parts),
        certificate={} if row.transcript is None else {"transcript": row.transcript},
    )


def _completion(row: AnswerRow, version: str) -> Completion:
    if row.seed is None:
        raise ValueError("an answer without its seed and tokens is no rollout to go on from")
    return Completion(
        segments=(Segment(token_ids=row.token_ids, logprobs=row.logprobs),),
        text=row.text,
        stop_reason=StopReason(row.stop_reason),
        policy_version=row.policy_version or version,
        seed=row.seed,
    )
