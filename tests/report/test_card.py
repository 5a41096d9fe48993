"""Properties of the model card: the hub reads it, licences are carried over, facts of this machine are not."""

from __future__ import annotations

from dataclasses import replace

import huggingface_hub

from posttrain.recipe.cards import DataFacts
from posttrain.recipe.load import STAGE_KINDS
from posttrain.records.results import Evaluation
from posttrain.report.card import KIND_WORDS, CardFacts, ModelFacts, write_card


def scores(checkpoint: str, suite: str, mean: float, ci95: tuple[float, float], **changes) -> Evaluation:
    usual = Evaluation(
        checkpoint=checkpoint, suite=suite, step=f"{checkpoint}.eval.{suite}", k=8, n=100, avg_at_k=mean, ci95=ci95,
        pass_at_k=0.7, format_valid=0.98, faults=0, mean_tokens=31.0, truncated_share=0.0, generated_tokens=24800,
        outcomes={},
    )  # fmt: skip
    return replace(usual, **changes)


TOY_DATA = DataFacts(name="stem_prompts", license="apache-2.0", title="Toy world", provenance="Made from a seed")
FACTS = CardFacts(
    name="demo-cpu",
    seed=7,
    base=ModelFacts(path="toy"),
    teachers=(ModelFacts(path="toy"),),
    stages=(("cold_start", "sft"), ("distil", "dpd"), ("stem", "grpo")),
    data=(TOY_DATA,),
    exported="stem",
    checkpoint="grpo-3f9a",
    evaluations=(
        scores("stem", "stem", 0.4125, (0.34, 0.4875), faults=2),
        scores("stem", "code", 0.3, (0.2, 0.4), pass_at_k=None, format_valid=1.0),
    ),
    temperature=0.6,
    top_p=0.95,
    think=("<think>", "</think>"),
    stop=("<|im_end|>",),
)


def card_of(tmp_path, **changes):
    write_card(tmp_path, replace(FACTS, **changes))
    return huggingface_hub.ModelCard.load(tmp_path / "README.md")


def test_the_hub_library_reads_the_metadata_back(tmp_path):
    data = card_of(tmp_path).data
    assert (data.license, data.library_name, data.pipeline_tag, data.datasets) == (
        "apache-2.0",
        "transformers",
        "text-generation",
        ["stem_prompts"],
    )
    assert [(r.dataset_type, r.metric_type, r.metric_value) for r in data.eval_results] == [
        ("stem", "avg@8", 41.25),
        ("code", "avg@8", 30.0),
    ]


def test_scores_of_other_checkpoints_are_named_and_never_the_models(tmp_path):
    other = scores("dpd.teacher", "stem", 0.99, (0.9, 1.0), pass_at_k=1.0)
    card = card_of(tmp_path, evaluations=(other, *FACTS.evaluations))
    assert [(result.dataset_type, result.metric_value) for result in card.data.eval_results] == [
        ("stem", 41.25),
        ("code", 30.0),
    ]
    assert "| dpd.teacher | stem | 99.0 | [90.0, 100.0] |" in card.content
    assert card.content.count("dpd.teacher") == 1


def test_a_hub_base_is_named_with_its_revision_and_a_local_folder_without_its_path(tmp_path):
    hub = card_of(tmp_path, base=ModelFacts(path="owner/base-3b", revision="a" * 40))
    assert hub.data.base_model == "owner/base-3b" and "a" * 40 in hub.content
    local = card_of(tmp_path, base=ModelFacts(path="/home/someone/models/base-3b"))
    assert local.data.base_model is None and "/home/someone" not in local.content and "base-3b" in local.content


def test_one_licence_shared_by_all_is_the_models_and_a_mixture_is_other(tmp_path):
    web = DataFacts(name="web", license="cc-by-nc-4.0", title="Web", provenance=None)
    mixed = card_of(tmp_path, data=(TOY_DATA, web))
    assert mixed.data.license == "other" and "cc-by-nc-4.0" in mixed.content
    unstated = card_of(tmp_path, base=ModelFacts(path="owner/base", revision="b" * 40))
    assert unstated.data.license == "other" and "not stated" in unstated.content
    stated = card_of(tmp_path, base=ModelFacts(path="owner/base", revision="b" * 40, license="Apache-2.0"))
    assert stated.data.license == "apache-2.0"


def test_the_teachers_licence_is_carried_over(tmp_path):
    card = card_of(tmp_path, teachers=(ModelFacts(path="owner/teacher", revision="c" * 40, license="mit"),))
    assert f"| teacher: owner/teacher at revision {'c' * 40} | mit |" in card.content and card.data.license == "other"


def test_scores_stand_with_intervals_and_faults(tmp_path):
    content = card_of(tmp_path).content
    assert (
        "**41.2** | [34.0, 48.8]" in content
        and "2 samples could not be judged" in content
        and "temperature 0.6" in content
    )


def test_the_same_facts_give_the_same_bytes(tmp_path):
    card_of(tmp_path)
    first = (tmp_path / "README.md").read_bytes()
    write_card(tmp_path, replace(FACTS))
    assert (tmp_path / "README.md").read_bytes() == first


def test_text_of_a_data_card_cannot_break_out_of_its_line(tmp_path):
    row = replace(TOY_DATA, provenance="x\n---\n# Fake\n<script>alert(1)</script>", title="a | b\n| c")
    content = card_of(tmp_path, data=(row,)).content
    assert "<script>" not in content and "\n# Fake" not in content and "a \\| b \\| c" in content


def test_a_model_without_evaluations_or_stops_has_a_card(tmp_path):
    content = card_of(tmp_path, evaluations=(), stop=()).content
    assert "was not evaluated" in content and "A turn ends with" not in content


def test_each_kind_of_stage_has_its_words() -> None:
    assert set(KIND_WORDS) == set(STAGE_KINDS) >= {"sft", "mix"}
