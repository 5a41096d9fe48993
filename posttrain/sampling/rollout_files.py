"""How scored groups are written to disk, one JSON line a prompt. No clock times: published bytes must repeat."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from posttrain.store.failpoints import failpoint
from posttrain.store.jsonl import read_lines
from posttrain.types import Completion, Prompt, RolloutGroup, Segment, StopReason
from rewards.types import Outcome, Verdict


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as published: without its seconds; with the transcript where a model was asked."""
    row = {
        "outcome": str(verdict.outcome),
        "score": verdict.score,
        "extracted": verdict.extracted,
        "reason": verdict.reason,
        "parts": dict(verdict.parts),
    }
    return row | {"transcript": verdict.certificate["transcript"]} if "transcript" in verdict.certificate else row


def completion_row(completion: Completion, verdict: Verdict | None, *, tokens: bool) -> dict[str, Any]:
    """An answer as published; `tokens` adds its seed, token ids and log-probabilities."""
    row: dict[str, Any] = {
        "text": completion.text,
        "stop_reason": str(completion.stop_reason),
        "num_tokens": completion.num_tokens,
    }
    if tokens:
        row["seed"] = completion.seed
        row["token_ids"] = list(completion.token_ids)
        row["logprobs"] = [round(value, 5) for segment in completion.segments for value in segment.logprobs]
    if verdict is not None:
        row["verdict"] = verdict_row(verdict)
    return row


def group_row(group: RolloutGroup, *, tokens: bool = True) -> dict[str, Any]:
    """One prompt with its G answers and verdicts, as published."""
    verdicts: tuple[Verdict | None, ...] = group.verdicts or (None,) * len(group.completions)
    return {
        "prompt_id": group.prompt.id,
        "source": group.prompt.source,
        "prompt": group.prompt.messages[-1]["content"],
        "policy_version": group.completions[0].policy_version if group.completions else "",
        "completions": [completion_row(c, v, tokens=tokens) for c, v in zip(group.completions, verdicts, strict=True)],
    }


def write_groups(path: Path, groups: Iterable[RolloutGroup], *, tokens: bool = True) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    failpoint("rollouts.write.before")
    with partial.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(group_row(group, tokens=tokens), ensure_ascii=False) + "\n" for group in groups)
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
    for prompt, row in zip(prompts, rows, strict=True):
        if (row["source"], row["prompt_id"]) != (prompt.source, prompt.id):
            raise ValueError(
                f"{path} holds answers to {row['source']}/{row['prompt_id']} where {prompt.source}/{prompt.id} was "
                "asked"
            )
        completions = tuple(_completion(one, row["policy_version"]) for one in row["completions"])
        verdicts = tuple(_verdict(one["verdict"]) for one in row["completions"])
        groups.append(RolloutGroup(prompt=prompt, prompt_ids=(), completions=completions, verdicts=verdicts))
    return groups


def _verdict(row: dict[str, Any]) -> Verdict:
    """Of what is not published (`certain`, evidence other than a transcript, cost, seconds) the defaults stand: it
    steers nothing once a verdict is given."""
    kept = {name: value for name, value in row.items() if name != "transcript"}
    certificate = {"transcript": row["transcript"]} if "transcript" in row else {}
    return Verdict(**{**kept, "outcome": Outcome(row["outcome"]), "certificate": certificate})


def _completion(row: dict[str, Any], version: str) -> Completion:
    segment = Segment(token_ids=tuple(row["token_ids"]), logprobs=tuple(row["logprobs"]))
    reason = StopReason(row["stop_reason"])
    return Completion(
        segments=(segment,), text=row["text"], stop_reason=reason, policy_version=version, seed=row["seed"]
    )
