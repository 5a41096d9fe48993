"""`agent`: a model decides whether an answer states the gold, with a Python interpreter at hand. Meant for answers that
the rules cannot decide:

    {kind: cascade, steps: [{kind: math}, {kind: choice}, {kind: agent, model: {...}}]}

    1. Screens, without a model: an empty, too long or repeated answer is wrong.
    2. Up to 3 rounds. In each the model gives one label, or asks for a program (2 at most), which the judge runs on
       gold and answer as data.
    3. Votes: with gold and answer swapped where there is doubt; before an answer is accepted also against a gold that
       is known to be another (the decoy), and on each part of an answer that offers several ("X, or else Y").

It decides equivalence and never solves. Of a conversation it sees the earlier turns, as `pairwise` does. A claim about
numbers is accepted only with a program that agrees and whose checks hold, or when both are exact numbers. An answer
that equals the decoy too works on the judge and not on the question: it is wrong. All open answers of a batch go
through each phase together. Verdicts are kept by content, with the whole transcript. Knows nothing of tokens, engines
or endpoints, and nothing of how programs are isolated.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rewards.contract.options import AgentOptions, Common
from rewards.contract.verdicts import cap, unsupported, wrong
from rewards.contract.verifier import BatchVerifier
from rewards.errors import VerifierError
from rewards.models.agent_case import AgentCase, conclusion, final_answer, gold_text, label_shares
from rewards.models.agent_prompt import (
    ENTRY,
    LABELS,
    MOST_PARTS,
    OTHER,
    PROGRAM,
    SAME,
    ComparedTexts,
    ProgramRun,
    decoy_for,
    is_numeric,
    label_prompt,
    parts_of,
    program_prompt,
    several_answers,
)
from rewards.models.conversation import asked_text
from rewards.models.lazy_model import LazyModel
from rewards.models.quoting import repeats_question, says_nothing, without_hidden_characters
from rewards.prose.visible import visible_text
from rewards.rules.code import extract_program
from rewards.types import JudgeModel, NoReply, Outcome, Request, Verdict

if TYPE_CHECKING:
    from sandbox.judge import Judge
    from sandbox.types import Judgement

R = TypeVar("R")
VERSION = 2  # part of a cached verdict's key: raise it when prompts, checks or rules of decision change
ROUNDS = 3
# Answers that go through the phases in one batch: enough to fill an engine, few enough that none waits long for others.
CASES_TOGETHER = 256
PROGRAM_TOKENS = 500
PROGRAM_LIMITS = {"cpu_seconds": 5.0, "wall_seconds": 10.0, "memory_mb": 512}


class AgentVerifier(BatchVerifier):
    def __init__(
        self,
        *,
        kind: str,
        common: Common,
        options: AgentOptions,
        think: tuple[str, str],
        model: Callable[[], JudgeModel],
        judge: Callable[[], Judge],
    ) -> None:
        super().__init__(kind=kind, common=common)
        self.options = options
        self.think = think
        self._model = LazyModel(model)
        self._open_judge = judge
        self._known: OrderedDict[str, Verdict] = OrderedDict()

    def check_gold(self, gold: Any) -> None:
        if gold_text(gold) is None:
            raise VerifierError(
                f"the gold {repr(gold)[:200]} is no text, number or accepted forms", remedy="mend or drop the row"
            )

    def judge_groups(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        entries: list[Verdict | str] = []  # a verdict, or the key under which there will be one
        cases: dict[str, AgentCase] = {}  # answers of a group repeat: the model is asked once about each
        for request in (request for group in groups for request in group):
            found = self._screen(request)
            if isinstance(found, ComparedTexts):
                key = self._key(found)
                if key not in self._known and key not in cases:
                    cases[key] = self._case(found)
                entries.append(self._known.get(key, key))
            else:
                entries.append(found)
        waiting = list(cases.values())
        for start in range(0, len(waiting), CASES_TOGETHER):
            self._decide(waiting[start : start + CASES_TOGETHER])
        fresh = {key: self._verdict(case) for key, case in cases.items()}
        self._remember(fresh)
        rest = iter(fresh[entry] if isinstance(entry, str) else entry for entry in entries)
        return [[next(rest) for _ in group] for group in groups]

    # ------------------------------------------------------------ before the model

    def _screen(self, request: Request) -> Verdict | ComparedTexts:
        """The texts that the model is to compare, or a verdict where it need not be asked."""
        gold = gold_text(request.gold)
        if gold is None:
            return unsupported("gold_unreadable")
        answer = final_answer(visible_text(request.response, self.think))
        if answer is None or says_nothing(answer):
            return wrong("no_answer", answer)
        if answer != without_hidden_characters(answer):
            return wrong("invisible_characters", answer)
        if len(answer) > self.options.max_chars:
            return wrong("answer_too_long", answer)
        if repeats_question(answer, request.question_text):
            return wrong("repeats_the_question", answer)
        if several_answers(gold, answer):
            return wrong("several_answers", answer)
        most = self.options.question_chars
        return ComparedTexts(question=asked_text(request, self.think, most), gold=gold[:most], answer=answer)

    def _case(self, texts: ComparedTexts) -> AgentCase:
        limits = self.options
        return AgentCase(
            texts=texts,
            decoy=decoy_for(texts.gold),
            tokens_left=limits.budget_tokens,
            seconds_left=limits.budget_seconds,
        )

    def _key(self, texts: ComparedTexts) -> str:
        content = [VERSION, texts.question, texts.gold, texts.answer, self.options.model, self.options.sure]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _remember(self, fresh: dict[str, Verdict]) -> None:
        self._known.update((key, verdict) for key, verdict in fresh.items() if verdict.outcome is not Outcome.ERROR)
        while len(self._known) > self.options.cache:
            self._known.popitem(last=False)

    # ------------------------------------------------------------ phases

    def _decide(self, cases: list[AgentCase]) -> None:
        """Rounds, then votes. A case with a failure takes no further part."""
        for number in range(ROUNDS):
            last = number == ROUNDS - 1
            open_ = [case for case in cases if not case.votes and not case.failure]
            self._query_labels(open_, "first", [case.texts for case in open_], last=last)
            self._run_programs([case for case in open_ if case.wants_program and not case.failure])
        doubtful = [case for case in cases if not case.failure and self._doubts(case)]
        self._query_labels(doubtful, "swapped", [case.texts.with_places_swapped() for case in doubtful], last=True)
        accepted = [
            case
            for case in cases
            if not case.failure and case.votes["first"] == SAME and case.votes.get("swapped", SAME) == SAME
        ]
        self._query_labels(accepted, "decoy", [case.texts.against(case.decoy) for case in accepted], last=True)
        self._query_parts([case for case in accepted if case.votes.get("decoy") != SAME])

    def _query_parts(self, cases: list[AgentCase]) -> None:
        """An answer that offers several things must be right with each of them."""
        parts = [parts_of(case.texts.gold, case.texts.answer) for case in cases]
        for number in range(MOST_PARTS):
            open_ = [
                (case, part[number])
                for case, part in zip(cases, parts, strict=True)
                if len(part) > number and not case.failure
            ]
            self._query_labels(
                [c for c, _ in open_],
                f"part {number + 1}",
                [replace(c.texts, answer=part) for c, part in open_],
                last=True,
            )
        for case, part in zip(cases, parts, strict=True):
            if len(part) > MOST_PARTS:
                case.votes["parts"] = OTHER

    def _query_labels(self, cases: list[AgentCase], vote: str, texts: list[ComparedTexts], *, last: bool) -> None:
        """Ask for one label a case. The label for a program may be given in a round while programs, tokens and rounds
        are left; votes on other texts are shown no program."""
        may_answer_program = [vote == "first" and not last and case.may_run for case in cases]
        runs = [case.runs if vote in ("first", "swapped") else [] for case in cases]
        prompts = [label_prompt(t, r, may_run=o) for t, r, o in zip(texts, runs, may_answer_program, strict=True)]
        replies = self._charge(cases, lambda: self._model.label_logprobs(prompts, list(LABELS)))
        for case, prompt, reply, may_run in zip(cases, prompts, replies, may_answer_program, strict=True):
            if isinstance(reply, NoReply):
                case.failure = reply.reason
                continue
            case.tokens_left -= 1
            shares = label_shares(reply, LABELS if may_run else LABELS[:3])
            if shares is None:
                case.failure = (
                    "" if all(value == -math.inf for value in reply) else "label log-probabilities are unusable"
                )
                # It said something else. An answer may have talked it into that, so this is no fault of ours.
                label, share = "?", 0.0
            else:
                label, share = max(shares.items(), key=lambda item: item[1])
            case.transcript.append({"vote": vote, "prompt": prompt, "label": label, "probability": round(share, 6)})
            unproven = label == SAME and may_run and is_numeric(case.texts.gold) and case.evidence is None
            case.wants_program = label == PROGRAM or unproven
            if not case.wants_program:
                case.votes[vote] = label
                case.sure = share if vote == "first" else case.sure

    def _run_programs(self, cases: list[AgentCase]) -> None:
        """Ask for one program a case and run it with its checks; what it proves is shown in the next round."""
        for case in cases:
            case.wants_program = False
        grants = [min(PROGRAM_TOKENS, case.tokens_left) for case in cases]
        prompts = [program_prompt(case.texts, case.runs) for case in cases]
        replies: list[str | NoReply] = [NoReply(reason="not asked")] * len(cases)
        for grant in sorted(set(grants)):
            indices = [i for i, granted in enumerate(grants) if granted == grant]
            complete = partial(self._model.complete, [prompts[i] for i in indices], max_tokens=grant)
            for i, reply in zip(indices, self._charge([cases[i] for i in indices], complete), strict=True):
                replies[i] = reply
        ready: list[tuple[AgentCase, str]] = []
        for case, reply, prompt, grant in zip(cases, replies, prompts, grants, strict=True):
            if isinstance(reply, NoReply):
                case.failure = reply.reason
                continue
            case.tokens_left -= grant
            case.transcript.append({"program_asked": prompt, "reply": reply})
            program = extract_program(reply, self.think)
            if f"def {ENTRY}" in program:
                ready.append((case, program))
            else:
                case.runs.append(
                    ProgramRun(program=program[:2000], same=None, said=f"no function {ENTRY} in the reply")
                )
        self._judge_programs(ready)

    def _judge_programs(self, ready: list[tuple[AgentCase, str]]) -> None:
        if not ready:
            return
        from sandbox.program_json import parse_program

        started = time.monotonic()
        rows = []
        for number, (case, program) in enumerate(ready):
            texts = case.texts
            pairs = (
                [texts.gold, texts.answer],
                [texts.gold, texts.gold],
                [case.decoy, texts.answer],
                [texts.gold, case.decoy],
            )
            tests = [{"args": args, "expected": True} for args in pairs]
            rows.append(
                {"id": str(number), "program": program, "entry_point": ENTRY, "tests": tests, "limits": PROGRAM_LIMITS}
            )
        readable: list[tuple[AgentCase, str, Any]] = []
        for (case, program), row in zip(ready, rows, strict=True):
            try:
                readable.append((case, program, parse_program(row)))
            except ValueError as error:  # text that no program can be: the model's fault, so it proves nothing
                case.runs.append(ProgramRun(program="", same=None, said=f"unreadable: {str(error)[:100]}"))
        judgements = self._open_judge().run([entry[2] for entry in readable]) if readable else []
        spent = (time.monotonic() - started) / max(1, len(readable))
        for (case, program, _), judgement in zip(readable, judgements, strict=True):
            case.seconds_left -= spent
            self._record_run(case, program, judgement)

    def _record_run(self, case: AgentCase, program: str, judgement: Judgement) -> None:
        """[gold, answer] decides, if the program also says yes to gold and gold, and no to the decoy in either
        place."""
        if judgement.outcome.value in ("fault", "invalid") or len(judgement.tests) != 4:
            case.failure = f"the interpreter failed: {(judgement.error or judgement.outcome.value)[:200]}"
            return
        outcomes = [test.outcome.value for test in judgement.tests]
        holds = outcomes[1] == "pass" and "pass" not in outcomes[2:]
        if outcomes[0] not in ("pass", "wrong"):
            same, said = None, f"{outcomes[0]} ({judgement.tests[0].detail[:100]})"
        elif not holds:
            same, said = None, "nothing of use: it does not tell other answers apart"
        else:
            same = outcomes[0] == "pass"
            said = f"{same}; its checks hold"
        case.runs.append(ProgramRun(program=program[:4000], same=same, said=said))
        case.transcript.append({"program": program, "outcomes": outcomes, "gave": said, "level": str(judgement.level)})

    def _charge(self, cases: list[AgentCase], query: Callable[[], list[R]]) -> list[R | NoReply]:
        """Replies, each case charged its share of the time that all took together; `NoReply` where its seconds are
        spent."""
        started = time.monotonic()
        replies = query()
        spent = (time.monotonic() - started) / max(1, len(cases))
        for case in cases:
            case.calls += 1
            case.seconds_left -= spent
        late = NoReply(reason="budget_seconds spent")
        return [late if case.seconds_left < 0 else reply for case, reply in zip(cases, replies, strict=True)]

    # ------------------------------------------------------------ from votes to a verdict

    def _doubts(self, case: AgentCase) -> bool:
        """A second vote is due: the model is unsure, or what was computed says otherwise."""
        vote, evidence = case.votes["first"], case.evidence
        against = (vote == SAME and evidence is False) or (vote != SAME and evidence is True)
        return against or case.sure < self.options.sure

    def _verdict(self, case: AgentCase) -> Verdict:
        if case.failure:
            return Verdict(
                outcome=Outcome.ERROR, score=None, reason="model_failed", certificate={"detail": case.failure[:300]}
            )
        outcome, reason = conclusion(case)
        return Verdict(
            outcome=outcome,
            score=None if outcome is Outcome.ABSTAIN else float(outcome is Outcome.CORRECT),
            extracted=cap(case.texts.answer),
            reason=reason,
            certificate={"transcript": case.transcript},
            parts={"sure": round(case.sure, 6)},
            cost={
                "model_calls": float(case.calls),
                "programs": float(len(case.runs)),
                "tokens_left": float(case.tokens_left),
            },
            seconds=round(self.options.budget_seconds - case.seconds_left, 6),
        )
