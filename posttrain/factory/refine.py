"""`refine` (deliberative): a checklist for the row, drafts by several models, scores by item with a critique, and
revisions of the best draft until it passes.

    checklist ──> drafts ──> checklist once more ──> scores ──> revision ──> scores ──> ...

It stops when all items pass, when a revision scores no higher, or after `rounds`; the best draft is kept, not the last.
What can be found out without a model (rules, code that runs, sums that hold) fails an item of its own. Knows nothing of
how models are reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from posttrain.factory.asking import Check
from posttrain.factory.claims import wrong_claims
from posttrain.factory.forms import Field, Form, Unreadable
from posttrain.factory.row_work import RowWork, SetAside, Steps, Wanted, generations
from posttrain.recipe.schema import Refine
from rewards.prose.visible import CODE_FENCE, visible_text
from rewards.types import Outcome, Request, Verdict

KINDS = ("correctness", "completeness", "consistency", "executability", "safety")
VALUES = {"pass": 1.0, "partly": 0.5, "fail": 0.0}
_RUNS = {"tests": [{"stdin": "", "stdout": ""}]}  # what it prints does not count, only how it ends
_RAN = ("pass", "wrong", "no_program")
_PYTHON = (CODE_FENCE + "python", CODE_FENCE + "py\n")
_READS_INPUT = ("input(", "sys.stdin")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One answer. findings: what was found without a model; items: the critic's {"number", "verdict", "text"}; score:
    the mean of both, findings as failed items."""

    number: int
    text: str
    by: str
    findings: tuple[str, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()
    critique: str = ""
    score: float = 0.0

    @property
    def passes(self) -> bool:
        return not self.findings and all(item["verdict"] == "pass" for item in self.items)


def refine_row(work: RowWork, stage: Refine) -> Steps:
    """The program of a row. Raises SetAside where no draft can be scored, or none is good enough."""
    form = _checklist_form(stage)
    asked = {"question": work.question, "most": stage.checklist_items}
    said = yield from work.ask_one(
        Wanted(role="critic", place="checklist", prompt="checklist", variables=asked, form=form)
    )
    checklist = said.fields["checklist"]
    drafts = yield from _drafts(work, stage)
    if stage.revise_checklist:
        shown = {**asked, "checklist": checklist, "drafts": [_shown(work, draft) for draft in drafts]}
        said = yield from work.ask_one(
            Wanted(role="critic", place="checklist.2", prompt="revise_checklist", variables=shown, form=form)
        )
        checklist = said.fields["checklist"]
    scored = yield from _scored(work, stage, checklist, drafts, "score")
    if not scored:
        raise SetAside("no draft could be scored")
    first = best = min(scored, key=_rank)
    stopped, rounds = "rounds", 0
    while not best.passes and rounds < stage.rounds:
        rounds += 1
        revised = yield from _revised(work, stage, checklist, best, len(drafts) + rounds - 1)
        again = (yield from _scored(work, stage, checklist, [revised], f"score.{rounds}")) if revised else []
        if not again or again[0].score <= best.score:
            stopped = "no rise" if again else "no readable revision"
            break
        best = again[0]
    stopped = "all items pass" if best.passes else stopped
    counts = {f"stopped: {stopped}": 1, "revisions": rounds, "kept a revision": int(best is not first)}
    work.facts = {"counts": counts, "first_score": round(first.score, 4), "score": round(best.score, 4)}
    for draft in [one for one in drafts if one.number != best.number]:
        work.drop(f"draft {draft.number}", "another scores higher")
    if best.score < stage.min_score:
        raise SetAside(f"the best score is below min_score: {best.score:.2f}")
    note = {
        "draft": best.number,
        "answer_by": best.by,
        "score": round(best.score, 4),
        "checklist": len(checklist),
        "rounds": rounds,
    }
    work.keep(best.text, by=[*([best.by] if best.by != "given" else []), work.kit.versions["critic"]], note=note)


def _rank(draft: Draft) -> tuple[float, int, int]:
    return (-draft.score, len(draft.text), draft.number)


def _drafts(work: RowWork, stage: Refine) -> Steps:
    """What the row has, then what each generator writes. Raises SetAside where there is none."""
    wanted = generations(work, stage.generators, stage.samples)
    said = yield from work.ask(wanted)
    found = [Draft(number=number, text=text, by="given") for number, text in enumerate(work.row.answers)]
    for want, one in zip(wanted, said, strict=True):
        if one.lacking or one.cut:
            work.drop(want.place, one.lacking or "cut off at max_tokens")
        else:
            found.append(Draft(number=len(found), text=one.text, by=work.kit.versions[want.role]))
    if not found:
        raise SetAside("no draft: every generator's reply is empty, refused or cut off")
    return found


def _scored(
    work: RowWork, stage: Refine, checklist: Sequence[Mapping[str, Any]], drafts: Sequence[Draft], place: str
) -> Steps:
    """The drafts with findings and scores; one whose scores cannot be read is left out."""
    found = yield from _found_out(work, stage, drafts)
    wanted = [
        Wanted(
            role="critic",
            place=f"{place}.{draft.number}",
            prompt="score",
            variables={
                "question": work.question,
                "answer": _shown(work, draft),
                "checklist": checklist,
                "findings": list(draft.findings),
            },
            form=_score_form(len(checklist)),
        )
        for draft in found
    ]
    said = yield from work.ask(wanted)
    scored = []
    for draft, one in zip(found, said, strict=True):
        if one.lacking:
            work.drop(f"draft {draft.number}", f"not scored: {one.lacking}")
            continue
        items = one.fields["scores"]
        values = [VALUES[item["verdict"]] for item in items] + [0.0] * len(draft.findings)
        score = sum(values) / len(values)
        scored.append(replace(draft, items=tuple(items), critique=one.fields["critique"], score=score))
    return scored


def _found_out(work: RowWork, stage: Refine, drafts: Sequence[Draft]) -> Steps:
    """The drafts with what rules, the code judge and arithmetic find."""
    findings: list[list[str]] = [
        [f"this does not hold: {claim}" for claim in wrong_claims(draft.text)] for draft in drafts
    ]
    if stage.verifier is not None:
        verdicts = yield from work.check(
            stage.verifier, [draft.text for draft in drafts], [False] * len(drafts), "rules"
        )
        for own, verdict in zip(findings, verdicts, strict=True):
            if not verdict.passed and verdict.outcome not in (Outcome.ABSTAIN, Outcome.UNSUPPORTED):
                own.append("the result is not the known right one")
    if stage.code_verifier is not None:
        places = [place for place, draft in enumerate(drafts) if _has_code(_shown(work, draft))]
        requests = [Request(response=drafts[place].text, gold=_RUNS) for place in places]
        verdicts = yield [Check(verifier=stage.code_verifier, request=request) for request in requests]
        work.note_verdicts(stage.code_verifier, verdicts, "code")
        for place, verdict in zip(places, verdicts, strict=True):
            if _fails(verdict):
                findings[place].append(f"its code does not run to its end: {verdict.reason}")
    return [replace(draft, findings=tuple(own)) for draft, own in zip(drafts, findings, strict=True)]


def _has_code(text: str) -> bool:
    return any(fence in text for fence in _PYTHON) and not any(word in text for word in _READS_INPUT)


def _fails(verdict: Verdict) -> bool:
    return verdict.outcome in (Outcome.WRONG, Outcome.TIMEOUT) and verdict.reason not in _RAN


def _revised(work: RowWork, stage: Refine, checklist: Sequence[Mapping[str, Any]], draft: Draft, number: int) -> Steps:
    """A revision of a draft; None where there is no readable one."""
    role = "reviser" if "reviser" in work.kit.models else stage.generators[0]
    open_items = [
        {
            "kind": checklist[item["number"] - 1]["kind"],
            "text": checklist[item["number"] - 1]["text"],
            "note": item["text"],
        }
        for item in draft.items
        if item["verdict"] != "pass"
    ]
    text = work.kit.prompts.text(
        "revise",
        {
            "question": work.question,
            "answer": _shown(work, draft),
            "open_items": open_items,
            "findings": list(draft.findings),
            "critique": draft.critique,
        },
    )
    messages = ({"role": "user", "content": text},)
    (said,) = yield from work.ask(
        [Wanted(role=role, place=f"revise.{number}", prompt="revise", messages=messages, writes=True)]
    )
    if said.lacking or said.cut:
        work.drop(f"revision {number}", said.lacking or "cut off at max_tokens")
        return None
    return Draft(number=number, text=said.text, by=work.kit.versions[role])


def _shown(work: RowWork, draft: Draft) -> str:
    return visible_text(draft.text, work.kit.think).strip()


def _checklist_form(stage: Refine) -> Form:
    return Form(
        fields=(
            Field(
                name="checklist",
                kind="items",
                says="one thing that a good answer to this very question has or does",
                attributes={"kind": KINDS},
                most=stage.checklist_items,
            ),
        )
    )


def _score_form(items: int) -> Form:
    def complete(fields: Mapping[str, Any]) -> None:
        if sorted(item["number"] for item in fields["scores"]) != list(range(1, items + 1)):
            raise Unreadable(f"scores do not cover each of {items} items once")

    scores = Field(
        name="scores",
        kind="items",
        says="what is missing or wrong, and what to change; empty for pass",
        attributes={"number": (), "verdict": tuple(VALUES)},
        most=items,
    )
    return Form(
        fields=(scores, Field(name="critique", kind="text", says="what to change first, in two or three sentences")),
        check=complete,
    )
