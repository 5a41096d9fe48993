"""Names of options against the installed vLLM's own record of them."""

from __future__ import annotations

import pytest

from posttrain.errors import InputError
from posttrain.recipe.engines import OURS
from posttrain.rollout.vllm_arguments import refuse_unknown_options, vllm_arguments

pytestmark = pytest.mark.vllm


def test_options_that_people_set_are_known_and_so_are_those_that_have_keys_of_ours() -> None:
    wanted = {"tensor_parallel_size", "max_num_seqs", "kv_cache_dtype", "speculative_config", "quantization"}
    assert wanted <= vllm_arguments() and set(OURS) <= vllm_arguments()
    refuse_unknown_options(sorted(wanted), "engine.options")


def test_a_misspelt_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="max_num_seq'") as refused:
        refuse_unknown_options(["max_num_seq"], "engine.options")
    assert refused.value.where == "engine.options" and "max_num_seqs" in str(refused.value.remedy)
