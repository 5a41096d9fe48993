"""What the store already has of a plan: cached, to resume, to run, and why; and where libraries or the judge's image
have drifted since.

"Why" compares with the plan that the run folder recorded before. Reads manifests and folder names; writes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from posttrain.errors import CheckpointError
from posttrain.records.step import Step
from posttrain.store.artefacts import Store, library_versions
from sandbox.images.root_tree import image_reference

RUNS_CODE = {"code", "agent"}  # kinds of verifiers that ask the code judge
SHOWN_INPUTS = 3  # of a step whose inputs will be new: an export has one for each score
_NOTHING = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStatus:
    """One step against the store. Example: StepStatus(step=Step(...), state="to run", why="learning_rate 1e-05 ->
    2e-05", drift=())"""

    step: Step
    state: Literal["cached", "to resume", "to run"]
    why: str
    drift: tuple[str, ...] = ()


def plan_status(
    steps: Sequence[Step], store: Store, previous: Sequence[Step] = (), *, image: str | None = None
) -> list[StepStatus]:
    """Status of every step, in order. `previous` are the steps that the run folder recorded last, `image` the recipe's
    sandbox.image."""
    before = {step.name: step for step in previous}
    # Asked only where code was judged: it looks at the interpreter's files.
    image_now = functools.cache(lambda: image_reference(image))
    installed = library_versions()
    fresh: set[str] = set()
    found = []
    for step in steps:
        if store.is_published(step.id):
            found.append(
                StepStatus(step=step, state="cached", why="published", drift=_drift(store, step, installed, image_now))
            )
            continue
        why = _reason(step, before.get(step.name), fresh)
        fresh.add(step.name)
        # A folder alone is no attempt to go on from: the making of a toy keeps no state.
        attempts = any(any(folder.iterdir()) for folder in (store.work / step.id).glob("attempt-*"))
        found.append(
            StepStatus(
                step=step,
                state="to resume" if attempts else "to run",
                why=f"{why}; has an attempt to go on from" if attempts else why,
            )
        )
    return found


def _reason(step: Step, before: Step | None, fresh: set[str]) -> str:
    if before is None:
        return "never run here"
    reasons = differences(before, step)
    new = [
        f"{role} ({name})" for role, name in step.inputs.items() if name in fresh and before.inputs.get(role) == name
    ]
    reasons += [f"input {one} will be new" for one in new[:SHOWN_INPUTS]]
    if len(new) > SHOWN_INPUTS:
        reasons.append(f"{len(new) - SHOWN_INPUTS} more inputs will be new")
    if before.id == step.id:
        return "not finished before"
    return "; ".join(reasons) if reasons else "its inputs changed"


def differences(before: Step, now: Step) -> list[str]:
    """Differences of two versions of a step in words, inputs' contents aside."""
    reasons = []
    if before.kind != now.kind:
        reasons.append(f"kind {before.kind} -> {now.kind}")
    elif before.version != now.version:
        reasons.append(f"version of {now.kind} {before.version} -> {now.version}")
    old, new = _leaves(before.params), _leaves(now.params)
    for key in sorted(old.keys() | new.keys()):
        was, becomes = old.get(key, _NOTHING), new.get(key, _NOTHING)
        # A verifier's version that comes or goes does so with its kind, which is named.
        comes_or_goes = key.startswith("verifier_versions") and (was is _NOTHING or becomes is _NOTHING)
        if key == "seed" or was == becomes or comes_or_goes:
            continue
        reasons.append(f"{_shown_key(key)} {_shown_value(was)} -> {_shown_value(becomes)}")
    if not reasons and old.get("seed") != new.get("seed"):
        reasons.append("seed changed")
    for what in sorted(before.digests.keys() | now.digests.keys()):
        if before.digests.get(what) != now.digests.get(what):
            reasons.append(f"content of {what} changed")
    for role in sorted(before.inputs.keys() | now.inputs.keys()):
        if before.inputs.get(role) != now.inputs.get(role):
            reasons.append(f"input {role} {before.inputs.get(role, '(none)')} -> {now.inputs.get(role, '(none)')}")
    return reasons


def _leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        return {
            name: leaf
            for key, inner in value.items()
            for name, leaf in _leaves(inner, f"{prefix}.{key}" if prefix else str(key)).items()
        }
    return {prefix: value}


def _shown_key(key: str) -> str:
    """A step's verifiers stand by the data they judge. Example: "verifiers.aime.kind" -> "verifier of aime: kind"."""
    group, _, rest = key.partition(".")
    name, _, rest = rest.partition(".")
    if group == "verifiers" and name:
        return f"verifier of {name}: {rest}".removesuffix(": ")
    return f"version of verifier {name}" if group == "verifier_versions" and name else key


def _shown_value(value: Any) -> str:
    return "(none)" if value is _NOTHING else str(value)


def _drift(store: Store, step: Step, installed: Mapping[str, str], image_now: Callable[[], str]) -> tuple[str, ...]:
    try:
        manifest = store.manifest(step.id)
    except CheckpointError as error:
        return (f"{error.what}; {error.remedy}",)
    drift = [
        f"{name} {version} -> {installed.get(name, 'not installed')}"
        for name, version in manifest.get("versions", {}).items()
        if installed.get(name) != version
    ]
    judge = (manifest.get("machine") or {}).get("judge")
    if judge and RUNS_CODE & step.params.get("verifier_versions", {}).keys() and judge["image"] != (now := image_now()):
        drift.append(f"judge's image {judge['image']} -> {now}")
    return tuple(drift)
