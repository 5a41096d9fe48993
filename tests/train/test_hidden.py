"""Hidden states and head give a model's own logits, for every way of scaling that is known; others are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers

from posttrain.errors import CheckpointError
from posttrain.train.hidden import open_head
from posttrain.train.losses.head import States

SMALL = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", {}),
    "Qwen3, tied": ("Qwen3", {"tie_word_embeddings": True}),
    "Mixtral": ("Mixtral", {"num_local_experts": 4}),
    "Gemma2": ("Gemma2", {"final_logit_softcapping": 0.05, "attn_implementation": "eager"}),
    "Granite": ("Granite", {"logits_scaling": 8.0}),
    "Cohere": ("Cohere", {"logit_scale": 0.0625}),
    "GPTNeoX": ("GPTNeoX", {"max_position_embeddings": 64}),
    "Phi, head with bias": ("Phi", {}),
}
IDS = torch.tensor([[5, 9, 3, 7, 1], [2, 2, 8, 4, 6]])


def made(name: str, options: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SMALL, **options)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def from_hidden(model: Any) -> torch.Tensor:
    return model(
        input_ids=IDS, over_hidden=lambda hidden, head: States(hidden_NH=hidden.flatten(0, 1), head=head).logits()
    ).view(*IDS.shape, -1)


@pytest.mark.parametrize(("name", "options"), MODELS.values(), ids=MODELS.keys())
def test_hidden_states_times_head_are_the_models_logits(name: str, options: dict[str, Any]) -> None:
    model = made(name, options)
    bias = model.get_output_embeddings().bias
    if bias is not None:
        torch.nn.init.normal_(bias)
    wanted = model(input_ids=IDS).logits
    assert open_head(model) is model and open_head(model) is model
    torch.testing.assert_close(from_hidden(model), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model(input_ids=IDS).logits, wanted, rtol=0.0, atol=0.0)


@pytest.mark.parametrize(("name", "options"), MODELS.values(), ids=MODELS.keys())
def test_trls_fused_head_by_which_sft_trains_gives_loss_and_gradients_of_full_logits(
    name: str, options: dict[str, Any]
) -> None:
    from trl.trainer import add_fused_lm_head

    model, fused = made(name, options), made(name, options)
    add_fused_lm_head(fused, outputs=("log_probs", "entropy", "is_top1"))
    labels = IDS.masked_fill(IDS == 9, -100)
    wanted = torch.nn.functional.cross_entropy(
        model(input_ids=IDS).logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    )
    found = fused(input_ids=IDS, labels=labels, fused_lm_head=True).loss
    wanted.backward()
    found.backward()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    for one, other in zip(fused.parameters(), model.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_a_copy_calls_its_own_weights() -> None:
    model = open_head(made("Llama", {}))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1)
    torch.testing.assert_close(from_hidden(twin), twin(input_ids=IDS).logits, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(from_hidden(twin), from_hidden(model))


def test_under_lora_the_adapter_is_in_the_hidden_states_and_a_head_with_lora_is_refused() -> None:
    from peft import LoraConfig, get_peft_model

    body = get_peft_model(made("Llama", {}), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    open_head(body)
    torch.testing.assert_close(from_hidden(body), body(input_ids=IDS).logits, rtol=1e-5, atol=1e-6)
    with pytest.raises(CheckpointError, match="LlamaForCausalLM is under LoRA"):
        open_head(get_peft_model(made("Llama", {}), LoraConfig(r=2, target_modules=["lm_head"])))


def test_a_model_that_does_something_else_to_its_logits_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    original = transformers.LlamaForCausalLM.forward

    def shifted(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        found.logits = found.logits + 0.01
        return found

    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", shifted)
    with pytest.raises(CheckpointError, match=r"LlamaForCausalLM changes its logits .* 0\.01 from"):
        open_head(made("Llama", {}))


def test_a_model_without_a_body_of_its_own_is_refused_by_name() -> None:
    model = made("Llama", {})
    model.base_model_prefix = "nothing"
    with pytest.raises(CheckpointError, match="LlamaForCausalLM gives no hidden states"):
        open_head(model)
