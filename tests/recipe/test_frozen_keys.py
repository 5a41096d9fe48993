"""Every key of a recipe, frozen: adding, renaming or removing one means editing this list in the same change."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel

from posttrain.recipe import schema
from sandbox.types import Level

ASKING = "name from kind data models prompts verifier budget max_fault_share"
KEYS = {
    "Alarms": "same_answer_share tampered_share length_drift flat_guard_gain window canaries on_alarm",
    "AskedModel": (
        "stage path revision toy endpoint model version api_key_env timeout_seconds retries parallel extra structured "
        "temperature top_p max_tokens prompt_price completion_price terms"
    ),
    "AskingStage": ASKING,
    "Budget": "tokens cost",
    "Canaries": "data verifier per_step",
    "Chat": "template think stop date add_tokens max_untrained_share",
    "Clean": (
        "name from kind data against languages min_words max_words max_repetition near skip remove_numbers_changed"
    ),
    "Cluster": (
        "address trainers sharding engines context_parallel share cpus_per_trainer gpus_per_trainer gpus_per_engine "
        "placement_timeout_seconds"
    ),
    "Custom": "name from kind options",
    "DataStage": "name from kind",
    "DomainWeights": "sequence chosen rejected fresh",
    "Dpd": (
        "name from steps micro_batch_size learning_rate schedule warmup_share decay_share weight_decay max_grad_norm "
        "adapter save_every checkpoint_minutes publish "
        "gradient_checkpointing attention "
        "batch_size epochs kind gate prompts teacher verifier teacher_samples student_samples "
        "pairs_per_prompt negatives_from temperature "
        "max_tokens weights beta divergence jsd_beta kd_temperature mode fresh_samples domains kd_skip"
    ),
    "DpdDomain": "mode weights kd_temperature",
    "DpdWeights": "sequence chosen rejected fresh",
    "EarlyStop": "plateau guard",
    "EngineSpec": "backend dtype context_tokens kv_cache_gb gpu_memory_share parity_tolerance options roles",
    "Evaluate": "suites k temperature top_p max_tokens after few_shot teacher",
    "FileData": "max_faulty_share columns metadata gold_format source path card limit",
    "Filter": "k low high wave reuse",
    "Grpo": (
        "name from steps micro_batch_size learning_rate schedule warmup_share decay_share weight_decay max_grad_norm "
        "adapter save_every checkpoint_minutes publish "
        "gradient_checkpointing attention "
        "kind gate prompts verifier filter group prompts_per_step temperature top_p max_tokens "
        "loss clip_low "
        "clip_high scale_rewards mask_truncated soft_punish_cache length_control max_resampled "
        "staleness importance_sampling importance_sampling_cap "
        "max_fault_share early_stop alarms mismatch_tolerance"
    ),
    "Gate": "suite max_drop on_fail",
    "Guard": "suite every max_drop samples",
    "GymData": "source task rows seed split options card",
    "Hardware": "nodes gpus gpu_memory_gb host_memory_gb",
    "HubData": "max_faulty_share columns metadata gold_format source path revision subset split card limit",
    "Lora": "rank alpha dropout targets",
    "Mix": "name from kind data rows phases score domain domains max_repeats",
    "MixPhase": "share data domains quality",
    "ModelRef": "path revision toy shape",
    "Phase": "share data max_tokens learning_rate",
    "Plateau": "window min_gain",
    "Quarantine": "max_faulty_share",
    "Recipe": (
        "schema name seed base chat hardware cluster engine sandbox verifiers data stages evaluate export report_to"
    ),
    "Reconstruct": f"{ASKING} samples min_words max_words",
    "Refine": (f"{ASKING} generators samples checklist_items revise_checklist rounds code_verifier min_score"),
    "RewardModel": (
        "name from steps micro_batch_size learning_rate schedule warmup_share decay_share weight_decay max_grad_norm "
        "adapter save_every checkpoint_minutes publish "
        "gradient_checkpointing attention batch_size epochs kind data max_tokens held_out_share"
    ),
    "RoleSpec": "engines gpus_per_engine gpu_memory_share options",
    "RowData": "max_faulty_share columns metadata gold_format",
    "RowStage": "name from kind data",
    "Sandbox": "backend min_level allow_unsafe image slots",
    "Sft": (
        "name from steps micro_batch_size learning_rate schedule warmup_share decay_share weight_decay max_grad_norm "
        "adapter save_every checkpoint_minutes publish "
        "gradient_checkpointing attention batch_size epochs kind gate data max_tokens packing router_loss phases "
        "restart_optimizer rope_theta max_positions"
    ),
    "Shape": (
        "model_type hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size "
        "vocab_size tie_word_embeddings num_local_experts num_experts num_experts_per_tok moe_intermediate_size "
        "attention_bias max_position_embeddings"
    ),
    "Stage": "name from",
    "StageData": "source stage part",
    "Strict": "",
    "Suite": "data verifier max_tokens examples",
    "Supervised": (
        "name from steps micro_batch_size learning_rate schedule warmup_share decay_share weight_decay max_grad_norm "
        "adapter save_every checkpoint_minutes publish "
        "gradient_checkpointing attention batch_size epochs"
    ),
    "Teacher": "path revision toy shape gives cache",
    "TeacherCache": "top_k",
    "ToyData": "source task rows difficulty split seed",
    "ToyModel": "architecture hidden_size layers tied experts steps skill",
    "Training": (
        "name from steps micro_batch_size learning_rate schedule warmup_share decay_share weight_decay max_grad_norm "
        "adapter save_every checkpoint_minutes publish "
        "gradient_checkpointing attention"
    ),
    "VerifierSpec": "kind",
    "WriteTests": (
        f"{ASKING} reverse solutions agree inputs max_input_bytes min_tests public_tests mutants reruns least_caught "
        "limits"
    ),
    "Publish": "dtype",
    "Prefer": f"{ASKING} generators samples margin pairwise pairs_per_prompt",
    "Verify": f"{ASKING} generators samples audit_share pairwise keep",
}


def _models() -> dict[str, type[BaseModel]]:
    return {
        name: item
        for name, item in vars(schema).items()
        if isinstance(item, type) and issubclass(item, BaseModel) and item.__module__.startswith(schema.__name__)
    }


def test_the_keys_of_a_recipe_are_the_frozen_ones() -> None:
    found = {
        name: " ".join(info.alias or key for key, info in model.model_fields.items())
        for name, model in _models().items()
    }
    assert found == KEYS


def test_every_key_says_what_it_is() -> None:
    """A one-line description, unless the key only tells kinds apart or holds a record that describes itself."""
    silent = []
    for name, model in _models().items():
        for key, info in model.model_fields.items():
            described = info.description or key in ("kind", "source", "name")
            holds_record = any(other in str(info.annotation) for other in _models())
            if not described and not holds_record:
                silent.append(f"{name}.{key}")
    assert not silent


def test_a_stage_kind_has_at_most_41_keys() -> None:
    assert max(len(model.model_fields) for model in _models().values()) <= 41


def test_the_levels_of_isolation_are_those_of_the_judge() -> None:
    assert get_args(schema.Sandbox.model_fields["min_level"].annotation) == tuple(Level)
