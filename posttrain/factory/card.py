"""The data card of the rows that a stage made: what they were made from, under which licences and terms.

Knows nothing of rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from posttrain.recipe.schema import AskedModel, AskingStage, DataStage
from posttrain.records.metrics import DataStageMetrics
from posttrain.store.atomic import write_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CardSource:
    """A data set that rows were made from. license: None where no card says. Example: CardSource(name="sums",
    title="Sums to 100", license="apache-2.0", provenance="Made from a seed")"""

    name: str
    title: str
    license: str | None
    provenance: str | None


def write_stage_card(
    path: Path, *, stage: DataStage, sources: Sequence[CardSource], metrics: DataStageMetrics | None, more: str = ""
) -> None:
    """Front matter as of any data card, and a body. One licence where all sources have the same and no model has terms
    of its own; else `other`, and the body says which."""
    models = stage.models if isinstance(stage, AskingStage) else {}
    terms = {role: model.terms for role, model in models.items() if model.terms}
    licenses = list(dict.fromkeys(source.license or "unknown" for source in sources))
    one = licenses[0] if len(licenses) == 1 and not terms else "other"
    made = f"Made by the stage {stage.name} ({stage.kind}) from {', '.join(source.title for source in sources)}"
    front = {
        "pretty_name": f"{stage.name}: {stage.kind} of {', '.join(source.name for source in sources)}",
        "license": one,
        "provenance": f"{made}.{f' Terms of models: {_joined(terms)}.' if terms else ''}",
    }
    lines = ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()), "---", ""]
    lines += [f"# {front['pretty_name']}", "", "## Where it comes from"]
    lines += [
        f"- `{source.name}`: {source.title}; license {source.license or 'unknown: no card was given'}"
        + (f"; {source.provenance}" if source.provenance else "")
        for source in sources
    ]
    lines += [
        f"- model `{role}`: {_model(model)}; terms of its replies: {model.terms or 'not stated'}"
        for role, model in models.items()
    ]
    lines += ["", "## What was done to it"]
    if metrics is not None:
        lines.append(f"{metrics.rows:,} rows were read, {metrics.kept:,} rows are published.")
        lines += [f"- set aside: {count:,} x {reason}" for reason, count in metrics.set_aside.items()]
    lines += [more] if more else []
    write_bytes(path, ("\n".join(lines) + "\n").encode(), point=None)


def _joined(terms: dict[str, str]) -> str:
    return ", ".join(f"{role}: {text}" for role, text in terms.items())


def _model(model: AskedModel) -> str:
    if model.stage is not None:
        return f"the checkpoint of stage {model.stage} of this run"
    return f"{model.model} ({model.version or 'version not stated'})" if model.endpoint else str(model.path)
