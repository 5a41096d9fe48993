"""Inputs that the role `tester` writes programs for: a validator and generators of three kinds, run in the judge.

What does not run is shown to the tester once more with what went wrong. Knows nothing of solutions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from posttrain.factory.agreed_tests import judge_faults
from posttrain.factory.asking import Trial, ask_seed
from posttrain.factory.forms import Field, Form
from posttrain.factory.row_work import RowWork, SetAside, Steps, Wanted
from posttrain.factory.tried_programs import (
    KINDS,
    MAKING,
    Input,
    Interface,
    fault_of,
    generator,
    validator,
)
from posttrain.recipe.schema import WriteTests
from rewards.rules.code import extract_program
from sandbox.types import Judgement, Limits, Outcome, OutputTest, Program

NO_CHECKER = "none"
INPUTS = Form(
    fields=(
        Field(
            name="mistakes",
            kind="text",
            says="the mistakes that wrong and slow solutions would make, and which inputs bring each to light",
        ),
        Field(name="validator", kind="text", says="Python code that defines valid"),
        Field(name="generators", kind="text", says="Python code that defines small(), regular(rng), adversarial(rng)"),
        Field(
            name="checker",
            kind="text",
            says="Python code that defines accepts(given, output, answer); the word none where one output is right",
        ),
    )
)


def written_inputs(
    work: RowWork, stage: WriteTests, *, question: str, interface: Interface, more: Sequence[Input]
) -> Steps:
    """(inputs within the problem's bounds, each once, `more` first; the checker's code, "" for none). Raises SetAside
    where the tester's programs do not run."""
    limits = Limits(**(interface.limits or {}))
    variables = {
        "question": question,
        "interface": interface.said,
        "calls": bool(interface.entry_point),
        "most": stage.inputs,
        "max_bytes": stage.max_input_bytes,
        "limits": f"{limits.cpu_seconds:g} seconds and {limits.memory_mb} MB",
    }
    faults: list[str] = []
    for place in ("inputs", "inputs.mended"):
        asked = Wanted(
            role="tester", place=place, prompt="inputs", variables={**variables, "faults": faults}, form=INPUTS
        )
        said = yield from work.ask_one(asked)
        code = {name: _code(said.fields[name], work.kit.think) for name in ("validator", "generators")}
        named = said.fields["checker"].strip("`. \n").casefold() != NO_CHECKER
        checker = _code(said.fields["checker"], work.kit.think) if named else ""
        faults = [
            f"{name}: {fault}"
            for name, fault in (
                ("validator", fault_of(code["validator"], ("valid",))),
                ("generators", fault_of(code["generators"], KINDS)),
                ("checker", fault_of(checker, ("accepts",)) if checker else None),
            )
            if fault
        ]
        if not faults:
            inputs, faults = yield from _made(work, stage, code, interface=interface, more=more)
        if not faults:
            return inputs, checker
        work.events.append({"place": f"judge.{place}", "found": {"faults": list(faults)}})
    raise SetAside(f"tester: {faults[0]}")


def generated(stage: WriteTests, code: str, kind: str, *, interface: Interface, seed: int = 0) -> Steps:
    """The inputs of one generator, each once and none too large; or what went wrong, as text."""
    program = generator(code, kind, most=stage.inputs, calls=bool(interface.entry_point))
    judged: list[Judgement] = yield [_making(kind, program, [str(seed)])]
    judge_faults(judged)
    return _read(stage, judged[0], kind, interface)


def _made(
    work: RowWork, stage: WriteTests, code: dict[str, str], *, interface: Interface, more: Sequence[Input]
) -> Steps:
    """(inputs, faults)."""
    calls = bool(interface.entry_point)
    seed = ask_seed(work.kit.seed, work.row.data, work.row.number, work.row.id, "inputs")
    judged: list[Judgement] = yield [
        _making(kind, generator(code["generators"], kind, most=stage.inputs, calls=calls), [str(seed)])
        for kind in KINDS
    ]
    judge_faults(judged)
    found: dict[str, Input] = {one.text: one for one in more}
    faults: list[str] = []
    for kind, run in zip(KINDS, judged, strict=True):
        made = _read(stage, run, kind, interface)
        if isinstance(made, str):
            faults.append(f"{kind}: {made}")
            continue
        for one in made:
            found.setdefault(one.text, one)
    if faults:
        return [], faults
    inputs = list(found.values())
    shown = [one.text if calls else json.dumps(one.text) for one in inputs]
    judged = yield [_making("valid", validator(code["validator"]), shown)]
    judge_faults(judged)
    kept: list[Input] = []
    refused: dict[str, str] = {}
    for one, test in zip(inputs, judged[0].tests, strict=True):
        if test.outcome is not Outcome.PASS:
            return [], [f"validator: it ends with {test.outcome} on {one.text[:200]}: {test.detail[:300]}"]
        if test.output == "valid":
            kept.append(one)
        else:
            refused.setdefault(one.kind, f"{one.text[:200]} ({test.output[:200]})")
    counts = Counter(one.kind for one in kept)
    found_counts = {f"{kind} inputs refused": sum(one.kind == kind for one in inputs) - counts[kind] for kind in KINDS}
    work.events.append({"place": "judge.inputs", "found": {**{kind: counts[kind] for kind in KINDS}, **found_counts}})
    faults = [
        f"{kind}: the validator refuses all of its inputs, the first is {refused[kind]}"
        for kind in KINDS
        if not counts[kind] and kind in refused
    ]
    work.facts = {"counts": {"inputs refused": len(inputs) - len(kept)}}
    return ([], faults) if faults else (sorted(kept, key=lambda one: KINDS.index(one.kind)), [])


def _making(name: str, program: str, stdins: Sequence[str]) -> Trial:
    tests = tuple(OutputTest(stdin=text.encode("utf-8", "replace")) for text in stdins)
    return Trial(program=Program(id=name, program=program, tests=tests, score="fraction", limits=MAKING))


def _read(stage: WriteTests, run: Judgement, kind: str, interface: Interface) -> list[Input] | str:
    """The inputs that a generator printed, or why there are none."""
    test = run.tests[0]
    if test.outcome is not Outcome.PASS:
        return f"it ends with {test.outcome}: {test.detail[:300]}"
    found: dict[str, Input] = {}
    too_large = 0
    for line in test.output.split("\n")[:-1]:
        text = line if interface.entry_point else str(json.loads(line))
        if len(text.encode("utf-8", "replace")) > stage.max_input_bytes:
            too_large += 1
            continue
        found.setdefault(text, Input(kind=kind, text=text))
    if not found:
        return f"all of its inputs are larger than {stage.max_input_bytes} bytes" if too_large else "it makes no input"
    return list(found.values())


def _code(text: str, think: tuple[str, str]) -> str:
    """Code from a field, in a fence or not."""
    return extract_program(text, think) if "```" in text else text
