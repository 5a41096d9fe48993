"""Every weight of a loss that a recipe can give moves the gradient; the router's loss is on only where it was asked
for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import RecipeError
from posttrain.recipe import schema
from posttrain.train import dpd, sft
from tests.train import test_dpd, test_sft
from tests.train.conftest import Jobs, metrics, write_rows

WEIGHTS = {"Dpd": ("sequence", "chosen", "rejected", "fresh"), "Sft": ("router_loss",)}


def test_the_weights_of_losses_that_are_tried_here_are_all_there_are() -> None:
    """A new key that says it weighs a loss belongs into the tests below."""
    assert tuple(schema.DpdWeights.model_fields) == tuple(schema.DomainWeights.model_fields) == WEIGHTS["Dpd"]
    kinds = (schema.Sft, schema.Dpd, schema.Grpo, schema.RewardModel)
    said = {
        (kind.__name__, key)
        for kind in kinds
        for key, info in kind.model_fields.items()
        if "weight of" in (info.description or "").lower()
    }
    assert {key for kind, key in said if key != "jsd_beta"} == set(WEIGHTS["Sft"])


@pytest.mark.parametrize("of", ["stage", "data set"])
@pytest.mark.parametrize("key", WEIGHTS["Dpd"])
def test_each_weight_of_the_distillation_moves_the_gradient(
    jobs: Jobs, tiny: Callable[..., Path], student_engine: Any, key: str, of: str
) -> None:
    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test_dpd.PAIRS))
    norms = []
    for weights in ({}, {key: 0.0}, {key: 2.0}):
        own = {"weights": weights} if of == "stage" else {"domains": {"questions": {"weights": weights}}}
        job = jobs.make(test_dpd.stage(steps=1, mode="both", max_tokens=8, **own), inputs={"pairs": jobs.folder})
        dpd.train(job, tiny(seed=1, sharpness=3.0), student_engine)
        norms.append(metrics(job)[0]["grad_norm"])
    assert all(abs(one - other) > 1e-3 * norms[0] for one, other in zip(norms, norms[1:] + norms[:1], strict=True))


def mixture(jobs: Jobs, tiny: Callable[..., Path], **config: Any) -> Path:
    """A tiny mixture of experts whose config.json says more."""
    import shutil

    folder = shutil.copytree(tiny(architecture="mixtral"), jobs.folder / f"mixture-{len(list(jobs.folder.iterdir()))}")
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(known | config))
    return folder


def test_the_routers_loss_moves_the_gradient_and_is_told(jobs: Jobs, tiny: Callable[..., Path]) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", test_sft.ROWS)}
    rows = []
    for weight in (0.0, 0.5):
        job = jobs.make(test_sft.stage(steps=1, router_loss=weight), data, model=mixture(jobs, tiny))
        sft.train(job)
        rows.append(metrics(job)[0])
    without, wanted = rows
    assert "aux_loss" not in without
    assert wanted["loss"] == pytest.approx(without["loss"] + 0.5 * wanted["aux_loss"], abs=1e-5)
    assert abs(wanted["grad_norm"] - without["grad_norm"]) > 1e-3 * without["grad_norm"]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_config_that_asks_for_the_routers_loss_does_not_switch_it_on_and_is_published_as_it_was(
    jobs: Jobs, tiny: Callable[..., Path], weight: float
) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", test_sft.ROWS)}
    asking = {"output_router_logits": True, "router_aux_loss_coef": 0.02}
    job = jobs.make(test_sft.stage(steps=1, router_loss=weight), data, model=mixture(jobs, tiny, **asking))
    sft.train(job)
    assert ("aux_loss" in metrics(job)[0]) == (weight > 0)
    published = json.loads((job.output / "model" / "config.json").read_text())
    assert {key: published[key] for key in asking} == asking


def test_a_routers_loss_without_experts_is_refused(jobs: Jobs) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", test_sft.ROWS)}
    with pytest.raises(RecipeError, match=r"router_loss is 0.1, but the model \(qwen3\) has no experts") as caught:
        sft.train(jobs.make(test_sft.stage(router_loss=0.1), data))
    assert caught.value.where == "stages.warm.router_loss"
