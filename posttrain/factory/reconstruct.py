"""`reconstruct` (chain of thought): from a question and its refined answer a model writes a short summary chain, then a
full chain that leads to that answer.

    summary ──> chain ──> bounds, leaks, sums, rules, judge ──> row: chain in the think tags + the answer
                  ^──────────── another sample where one of them fails

A chain has to end in the answer, must not say that the answer was known, and must not contradict itself in numbers.
Knows nothing of how models are reached.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from posttrain.factory.claims import wrong_claims
from posttrain.factory.forms import Field, Form
from posttrain.factory.leaks import leak_in
from posttrain.factory.row_work import RowWork, SetAside, Steps, Wanted
from posttrain.factory.verify import length_of
from posttrain.recipe.schema import Reconstruct
from rewards.prose.visible import visible_text
from rewards.types import Outcome

SUMMARY = Form(fields=(Field(name="summary", kind="text", says="the steps, three to eight short sentences"),))
_YES_NO = ("yes", "no")
AUDIT = Form(
    fields=(
        Field(name="reason", kind="text", says="one or two sentences"),
        Field(name="reaches", kind="label", labels=_YES_NO, says="does the reasoning by itself arrive at this answer"),
        Field(
            name="knew",
            kind="label",
            labels=_YES_NO,
            says="does it use, name or hint at the answer before it has worked it out, or at its writer's instructions",
        ),
        Field(name="consistent", kind="label", labels=_YES_NO, says="is it free of contradictions and of wrong steps"),
    )
)
_DECIDED = (Outcome.CORRECT, Outcome.WRONG, Outcome.TIMEOUT)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    """What came of one chain: why it is not taken, or None; whether rules and judge said that it ends in the answer."""

    fault: str | None
    rules: bool | None = None
    judge: bool | None = None


def reconstruct_row(work: RowWork, stage: Reconstruct) -> Steps:
    """The program of a row. Raises SetAside where it has no answer, or no chain passes."""
    think = work.kit.think
    if not work.row.answers:
        raise SetAside("the row has no answer to lead to")
    answer = visible_text(work.row.answers[0], think).strip()
    if not answer:
        raise SetAside("the row's answer is empty beside its reasoning")
    if stage.verifier is not None:
        (verdict,) = yield from work.check(stage.verifier, [answer], [False], "answer")
        if verdict.outcome in (Outcome.WRONG, Outcome.TIMEOUT):
            raise SetAside(f"the row's answer is wrong by the rules: {verdict.reason}")
    shown = {"question": work.question, "answer": answer}
    said = yield from work.ask_one(
        Wanted(role="writer", place="summary", prompt="summary", variables=shown, form=SUMMARY, writes=True)
    )
    variables = {**shown, "summary": said.fields["summary"], "min_words": stage.min_words, "max_words": stage.max_words}
    faults: list[str] = []
    agreement: list[str] = []
    for number in range(stage.samples):
        wanted = Wanted(role="writer", place=f"chain.{number}", prompt="chain", variables=variables, writes=True)
        (said,) = yield from work.ask([wanted])
        chain = visible_text(said.text, think).strip()
        fault = said.lacking or ("cut off at max_tokens" if said.cut else _plain_fault(chain, stage))
        tried = _Tried(fault=fault) if fault else (yield from _judged(work, stage, chain, answer, number))
        if tried.rules is not None and tried.judge is not None:
            agreement.append(f"{_word(tried.rules)}/{_word(tried.judge)}")
        if tried.fault is None:
            work.facts = {
                "agreement": agreement,
                "lengths": [{"length": length_of(chain), "kept": True}],
                "counts": {"chains tried": number + 1, **_counted(faults)},
            }
            judges = [work.kit.versions["judge"]] if "judge" in work.kit.models else []
            note = {"chain": number}
            work.keep(
                f"{think[0]}\n{chain}\n{think[1]}\n\n{answer}", by=[work.kit.versions["writer"], *judges], note=note
            )
            return
        faults.append(tried.fault)
        work.drop(f"chain {number}", tried.fault)
    work.facts = {"agreement": agreement, "counts": {"chains tried": stage.samples, **_counted(faults)}}
    raise SetAside(
        f"no chain of {stage.samples} passes ({'; '.join(sorted({fault.partition(':')[0] for fault in faults}))})"
    )


def _plain_fault(chain: str, stage: Reconstruct) -> str | None:
    """What is wrong with a chain to be seen without rules or a judge."""
    words = len(chain.split())
    if words < stage.min_words:
        return f"too short: {words} words"
    if words > stage.max_words:
        return f"too long: {words} words"
    if (leak := leak_in(chain)) is not None:
        return f"it knew the answer: {leak}"
    if wrong := wrong_claims(chain, 1):
        return f"a sum does not hold: {wrong[0]}"
    return None


def _judged(
    work: RowWork, stage: Reconstruct, chain: str, answer: str, number: int
) -> Generator[Any, list[Any], _Tried]:
    """Whether the chain ends in the answer, by rules and by the judge, whoever there is; one of them has to say so."""
    rules: bool | None = None
    if stage.verifier is not None and work.row.gold not in (None, ""):
        (verdict,) = yield from work.check(stage.verifier, [chain], [False], f"chain.{number}")
        # A program is judged by its tests, and a chain is none.
        if verdict.outcome in _DECIDED and verdict.reason != "no_program":
            rules = verdict.passed
    if rules is False:
        return _Tried(fault="it does not end in the answer, by the rules", rules=False)
    if "judge" not in work.kit.models:
        return _Tried(fault=None if rules else "nobody can tell whether it ends in the answer", rules=rules)
    variables = {"question": work.question, "answer": answer, "chain": chain}
    (said,) = yield from work.ask(
        [Wanted(role="judge", place=f"audit.{number}", prompt="audit", variables=variables, form=AUDIT)]
    )
    if said.lacking:
        return _Tried(fault=f"not judged: {said.lacking}", rules=rules)
    faults = {
        "it does not end in the answer, by the judge": said.fields["reaches"] == "no",
        "it knew the answer, by the judge": said.fields["knew"] == "yes",
        "it contradicts itself, by the judge": said.fields["consistent"] == "no",
    }
    fault = next((words for words, there in faults.items() if there), None)
    return _Tried(fault=fault, rules=rules, judge=said.fields["reaches"] == "yes")


def _counted(faults: list[str]) -> dict[str, int]:
    kinds = [fault.partition(":")[0] for fault in faults]
    return {f"not taken: {kind}": kinds.count(kind) for kind in sorted(set(kinds))}


def _word(decided: bool) -> str:
    return "right" if decided else "wrong"
