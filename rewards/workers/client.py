"""The caller's side of a rule: requests to the pool, replies to verdicts. Knows nothing of what a rule checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rewards.contract.options import Common
from rewards.contract.rule import RuleSpec
from rewards.contract.verdicts import wrong
from rewards.contract.verifier import BatchVerifier
from rewards.errors import VerifierError
from rewards.types import Outcome, Request, Verdict
from rewards.workers.messages import request_to_json, verdict_from_json
from rewards.workers.pool import Limits, Operation, Pool, Reply, shared_pool

MAX_RESPONSE_CHARS = 4_000_000  # about a million tokens: a longer answer is wrong for every rule of ours, unread
# A user's own code may load torch, write caches and print.
PLUGIN_LIMITS = Limits(memory_mb=0, file_mb=-1, quiet=False)


class RuleVerifier(BatchVerifier):
    """Judges by a rule in worker processes.

    `whole_groups` hands a plug-in its group at once; where that runs into a limit, each answer is judged by itself
    (`verify`), and only the one that runs into it again is to blame. `judges_single` False: the plug-in cannot judge
    one answer, and such a group is an error of ours.
    """

    def __init__(
        self,
        *,
        kind: str,
        common: Common,
        rule: RuleSpec,
        workers: int,
        whole_groups: bool = False,
        judges_single: bool = True,
    ) -> None:
        super().__init__(kind=kind, common=common)
        self.rule = rule
        self._workers = workers
        self._whole_groups = whole_groups
        self._judges_single = judges_single

    @property
    def pool(self) -> Pool:
        # Looked up each time: after a fork the child has a pool of its own.
        return shared_pool(self._workers, PLUGIN_LIMITS if ":" in self.rule["kind"] else Limits())

    def judge_groups(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        if self._whole_groups:
            units = [group for group in groups if group]
        else:
            units = [[request] for group in groups for request in group if not self._is_too_long(request)]
        by_unit = self._run(units)
        retried = [i for i, verdicts in enumerate(by_unit) if any(map(_is_worth_another_try, verdicts))]
        for i, verdicts in zip(retried, self._run([units[i] for i in retried]), strict=True):
            by_unit[i] = verdicts
        for i, verdicts in enumerate(by_unit):
            if len(verdicts) > 1 and verdicts[0].outcome is Outcome.TIMEOUT:
                by_unit[i] = self._judge_one_by_one(units[i], verdicts[0])
        flat = iter([verdict for verdicts in by_unit for verdict in verdicts])
        return [[_TOO_LONG if self._is_too_long(request) else next(flat) for request in group] for group in groups]

    def _judge_one_by_one(self, group: list[Request], of_group: Verdict) -> list[Verdict]:
        """The verdicts of a group that as a whole ran into a limit, which `of_group` says."""
        if not self._judges_single:
            detail = f"the group ran into a limit ({of_group.reason}), and the function cannot say by which answer"
            return [_error("group_limit", detail, of_group.seconds / len(group))] * len(group)
        return [verdict for verdicts in self._run([[request] for request in group], "alone") for verdict in verdicts]

    def _run(self, units: list[list[Request]], operation: Operation = "judge") -> list[list[Verdict]]:
        """The verdicts of each unit, a unit being the requests that one call of the rule gets."""
        try:
            items = [[request_to_json(request) for request in unit] for unit in units]
            replies = self.pool.run(self.rule, operation, items, deadline_seconds=self.common.deadline_seconds)
        except TypeError as error:  # from json: a request goes to a worker as JSON
            raise VerifierError(
                f"a request cannot be written as JSON: {error}", remedy="gold and metadata are JSON values"
            ) from error
        return [_verdicts(reply, len(unit)) for unit, reply in zip(units, replies, strict=True)]

    def _is_too_long(self, request: Request) -> bool:
        return ":" not in self.rule["kind"] and len(request.response) > MAX_RESPONSE_CHARS

    def check_gold(self, gold: Any) -> None:
        if problem := self.gold_problems([Request(response="", gold=gold)])[0]:
            raise VerifierError(problem, remedy="mend or drop the row")

    def gold_problems(self, prompts: Sequence[Request]) -> list[str | None]:
        try:
            items = [request_to_json(prompt) for prompt in prompts]
            replies = self.pool.run(self.rule, "gold", items, deadline_seconds=self.common.deadline_seconds)
        except TypeError as error:
            raise VerifierError(
                f"a gold cannot be written as JSON: {error}", remedy="gold and metadata are JSON values"
            ) from error
        return [self._gold_problem_of_reply(prompt.gold, reply) for prompt, reply in zip(prompts, replies, strict=True)]

    def _gold_problem_of_reply(self, gold: Any, reply: Reply) -> str | None:
        if reply.status in _OUR_FAULTS:
            raise VerifierError(
                f"golds cannot be checked: {reply.detail or reply.status}", where=self.kind, remedy="mend the verifier"
            )
        problem = reply.data.get("problem") if reply.status == "ok" else _ANSWER_FAULTS[reply.status]
        return f"the gold answer {repr(gold)[:200]} cannot be used by {self.kind}: {problem}" if problem else None


def _is_worth_another_try(verdict: Verdict) -> bool:
    """Whether the rule itself raised or reported an error (such as an endpoint that was down). The pool has tried once
    more already where a worker was lost."""
    return verdict.outcome is Outcome.ERROR and verdict.reason != _OUR_FAULTS["lost"]


_TOO_LONG = wrong("response_too_long", None)
# Status of a reply -> reason of the verdict: what is our failure, and what is the answer's.
_OUR_FAULTS = {"lost": "worker_lost", "failed": "rule_failed"}
_ANSWER_FAULTS = {"timeout": "deadline", "memory": "memory_limit", "crashed": "worker_crashed"}


def _verdicts(reply: Reply, count: int) -> list[Verdict]:
    """[count] verdicts of one reply. A reply of another length, or with a score out of range, is an error of ours."""
    if reply.status in _ANSWER_FAULTS:
        reason = _ANSWER_FAULTS[reply.status]
        return [Verdict(outcome=Outcome.TIMEOUT, score=0.0, reason=reason, seconds=reply.seconds)] * count
    if reply.status in _OUR_FAULTS:
        return [_error(_OUR_FAULTS[reply.status], reply.detail, reply.seconds)] * count
    entries = reply.data["verdicts"]
    if len(entries) != count:
        return [_error("wrong_length", f"{len(entries)} verdicts for {count} answers", reply.seconds)] * count
    return [_verdict_of_entry({**entry, "seconds": reply.seconds / count}) for entry in entries]


def _verdict_of_entry(entry: dict[str, Any]) -> Verdict:
    """The verdict that a worker sent as JSON, or an error that says why it is none."""
    try:
        verdict = verdict_from_json(entry)
    except (TypeError, ValueError) as error:
        return _error("malformed_verdict", str(error)[:300], 0.0)
    if verdict.score is None and verdict.outcome in (Outcome.CORRECT, Outcome.WRONG):
        return _error("score_missing", f"outcome {verdict.outcome} without a score", verdict.seconds)
    if verdict.score is not None and not (isinstance(verdict.score, (int, float)) and 0.0 <= verdict.score <= 1.0):
        return _error("score_out_of_range", f"score {verdict.score!r}", verdict.seconds)
    if not isinstance(verdict.certain, bool):
        return _error("malformed_verdict", f"certain is {verdict.certain!r}, not true or false", verdict.seconds)
    if verdict.score is not None and type(verdict.score) is not float:  # a plug-in's True or 1
        return replace(verdict, score=float(verdict.score))
    return verdict


def _error(reason: str, detail: str, seconds: float) -> Verdict:
    return Verdict(outcome=Outcome.ERROR, score=None, reason=reason, certificate={"detail": detail}, seconds=seconds)
