"""GPU memory of one trainer, from sizes alone: what lives when, and the largest sum of what lives together.

    the phases of a step         teacher's forward | forward | backward of a layer | reduced gradients | update | merge
    a part of GpuMemory          its own largest size over these phases
    total                        the phase that needs most; less than the sum of the parts

It describes posttrain/train as it is: float32 weights with bfloat16 autocast, AdamW in float32, losses in tiles. Shapes
in formulas: H hidden, A heads * head, K kv heads * head, F feed-forward, V vocabulary, L layers, T tokens. Checked
against the live bytes of a real training step by benchmarks/plan_memory.py. Knows nothing of recipes' hardware.
"""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.recipe.phases import longest_row
from posttrain.recipe.schema import Dpd, Grpo, Lora, RewardModel, Sft, Training
from posttrain.recipe.sizes import Decoder

GB = 1e9
TILE_BYTES, BLOCK_BYTES = 2**29, 2**26  # of the losses on a GPU (train/losses/head.py)
PROMPT_TOKENS = 2048  # what a prompt is taken to have at most, beside an answer of max_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuMemory:
    """GB (10^9 bytes) on the fullest GPU; None where a thing does not apply. CUDA's own memory is not in it.

    Example: GpuMemory(weights=7.8, gradients=5.0, optimizer=11.8, activations=21.3, logits=3.5, total=42.0)
    """

    weights: float | None = None
    gradients: float | None = None
    optimizer: float | None = None
    activations: float | None = None
    logits: float | None = None
    engine: float | None = None
    total: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """What one forward pass holds. Example: Forward(rows=2, tokens=18432, flattened=False, masked=True)"""

    rows: int
    tokens: int  # of the longest row
    flattened: bool  # rows stand in one row behind each other
    masked: bool  # sdpa is given a mask of tokens x tokens, which also costs it the sharing of keys between heads

    @property
    def all_tokens(self) -> int:
        return self.rows * self.tokens

    @property
    def mask_bytes(self) -> int:
        """A mask of truth values, and its copy in bfloat16 that is added to the scores (transformers'
        masking_utils and torch's sdpa)."""
        if not self.masked:
            return 0
        return 3 * (self.all_tokens**2 if self.flattened else self.rows * self.tokens**2)


def forward_of(stage: Training, context_tokens: int) -> Forward:
    """The largest forward pass of a stage, rows as long as its keys allow."""
    rows = stage.micro_batch_size * (2 if isinstance(stage, Dpd) else 1)  # the good and the bad answer in one pass
    flattened = isinstance(stage, Sft) and stage.packing
    if isinstance(stage, Sft):
        tokens = longest_row(stage)
    elif isinstance(stage, RewardModel):
        tokens = stage.max_tokens
    else:
        answer = stage.max_tokens if isinstance(stage, Dpd | Grpo) else context_tokens
        tokens = min(context_tokens, answer + PROMPT_TOKENS)
    # `auto` is sdpa where flash-attn is not installed, which cannot be known from here
    masked = (flattened or rows > 1) and stage.attention in ("auto", "sdpa")
    return Forward(rows=rows, tokens=tokens, flattened=flattened, masked=masked)


def trained_parameters(stage: Training, model: Decoder) -> int:
    """All, or those of the LoRA: rank * (width in + width out) of each matrix it is put on; experts get none."""
    if not isinstance(stage.adapter, Lora):
        return model.parameters
    hidden, heads, kv = model.hidden, model.heads * model.head, model.kv_heads * model.head
    widths = {"q_proj": hidden + heads, "k_proj": hidden + kv, "v_proj": hidden + kv, "o_proj": heads + hidden}
    if model.experts == 1:
        widths |= dict.fromkeys(("gate_proj", "up_proj", "down_proj"), hidden + model.feed_forward)
    targets = list(widths) if stage.adapter.targets == "all-linear" else stage.adapter.targets
    each = sum(widths.get(target.rpartition(".")[2], 2 * hidden) for target in targets)
    return model.layers * stage.adapter.rank * each


def layer_bytes(model: Decoder, *, residual: int, masked: bool) -> int:
    """Bytes a token that one layer keeps for its backward pass; `residual`: bytes of a number between layers.

    transformers' LlamaDecoderLayer: two norms (their input in float32, the normalised values), a bfloat16 copy of the
    input for each projection that autocast casts, queries, keys, values and the attention's output for sdpa's
    backward, the gate, its activation, the up-projection and their product; Qwen3's norms of queries and keys.
    """
    heads, kv = model.heads * model.head, model.kv_heads * model.head
    around = 26 if residual == 4 else 20
    attention = 6 * heads + 4 * (heads if masked else kv)
    if model.query_norms:
        attention += 6 * (heads + kv)
    experts = model.experts_used * (8 * model.feed_forward + (4 * model.hidden if model.experts > 1 else 0))
    return around * model.hidden + attention + experts


def training_memory(
    model: Decoder,
    stage: Training,
    *,
    context_tokens: int,
    trainers: int,
    sharded: bool,
    teacher: Decoder | None = None,
    teacher_shared: bool = False,
) -> GpuMemory:
    """Memory of one trainer GPU. sharded: FSDP2 over the trainers; otherwise each holds all (several by DDP). teacher:
    the one that is asked beside the student, shared among the trainers or not."""
    passed, split = forward_of(stage, context_tokens), trainers if sharded else 1
    trained, residual = trained_parameters(stage, model), 2 if sharded else 4
    full = trained == model.parameters
    # FSDP2 gathers in bfloat16: embedding and head for the whole pass, of the layers this and the next.
    gathered = 2 * (model.embeddings + 2 * model.layer) if sharded else 0
    shards = 4 * model.parameters / split
    own_gradients = 4 * trained / split
    # Before they are reduced the gradients of a gathered group are whole: in bfloat16, and once more in float32.
    whole = (2 * model.embeddings + 6 * model.layer if full else 0) if sharded else 0
    buckets = 4 * trained if trainers > 1 and not sharded else 0  # DDP's
    # AdamW's; with FSDP the update is fused, else it works on all tensors at once
    moments, temporaries = 8 * trained / split, 0 if sharded else 4 * trained
    merged_copy = 0 if full or sharded else 4 * model.parameters  # sharded ones are merged on the host

    kept = residual * model.hidden * passed.all_tokens * model.layers
    a_layer = layer_bytes(model, residual=residual, masked=passed.masked) * passed.all_tokens
    # Without FSDP autocast keeps a bfloat16 copy of every matrix until the forward pass ends, or autograd lets it go.
    copies = in_backward = 0 if sharded else 2 * model.layers * model.layer
    if stage.gradient_checkpointing:
        in_backward //= model.layers
    else:
        kept, a_layer = a_layer * model.layers, 0
    kept += passed.mask_bytes
    working = 6 * model.feed_forward * model.experts_used * passed.all_tokens
    forward = kept + copies + working
    backward = kept + in_backward + a_layer + working + 2 * residual * model.hidden * passed.all_tokens
    logits = _logits(model, stage, passed, sharded=sharded, teacher=teacher)
    frozen, asked = _frozen(teacher, trainers if teacher_shared else 1) if teacher else (0.0, 0.0)
    of_teacher = _forward_bytes(teacher) if teacher else 0

    standing = shards + frozen + moments + buckets
    phases = (
        standing + own_gradients + asked + of_teacher * passed.all_tokens + passed.mask_bytes,
        standing + own_gradients + gathered + kept + copies + logits,
        standing + own_gradients + gathered + forward,
        standing + own_gradients + gathered + whole + backward,
        standing + own_gradients + (6 * model.embeddings if sharded and full else 0),
        standing + own_gradients + temporaries,
        standing + own_gradients + merged_copy,
    )
    return GpuMemory(
        weights=(shards + frozen + max(gathered, merged_copy)) / GB,
        gradients=(own_gradients + buckets + whole) / GB,
        optimizer=(moments + temporaries) / GB,
        activations=max(forward, backward) / GB,
        logits=logits / GB,
        total=max(phases) / GB,
    )


def _frozen(teacher: Decoder, split: int) -> tuple[float, float]:
    """Bytes of a model that only answers, in half precision: what stands, and what comes to it while it is asked.
    Shared, embedding and head stay whole after the first pass, and of the layers this and the next are there."""
    if split == 1:
        return 2.0 * teacher.parameters, 0.0
    return 2.0 * teacher.parameters / split + 2 * teacher.embeddings, 4.0 * teacher.layer


def _forward_bytes(teacher: Decoder) -> int:
    """A token of a pass without gradients, in half precision."""
    return 2 * (3 * teacher.feed_forward * teacher.experts_used + 4 * teacher.hidden)


def teacher_memory(teacher: Decoder, stage: Dpd, *, context_tokens: int, split: int) -> GpuMemory:
    """Of `<name>.teacher_logprobs`, where a teacher reads the pairs alone. split: trainers among which it is shared."""
    passed = forward_of(stage, context_tokens)
    frozen, asked = _frozen(teacher, split)
    activations = _forward_bytes(teacher) * passed.all_tokens + passed.mask_bytes
    # a tile, its log-softmax twice, and the states before the head
    logits = 3 * min(TILE_BYTES, 4 * passed.all_tokens * teacher.vocabulary) + 2 * passed.all_tokens * teacher.hidden
    return GpuMemory(
        weights=(frozen + asked) / GB,
        activations=activations / GB,
        logits=logits / GB,
        total=(frozen + max(asked + activations, logits)) / GB,
    )


def trial_memory(model: Decoder, trained: int) -> GpuMemory:
    """`fitness` trains the base for a step on one GPU, unsharded and in float32, over a few dozen tokens
    (train/base_trial.py)."""
    weights, gradients, moments = 4 * model.parameters / GB, 4 * trained / GB, 8 * trained / GB
    return GpuMemory(weights=weights, gradients=gradients, optimizer=moments, total=weights + gradients + moments)


def engine_need(model: Decoder, context_tokens: int) -> float:
    """GB below which vLLM does not start: weights in bfloat16, the cache of one context, and the activations of its
    profiling pass over as many tokens (gate, up-projection and product, and the residual stream)."""
    working = context_tokens * (6 * model.feed_forward * model.experts_used + 8 * model.hidden)
    return (2 * model.parameters + model.kv_bytes * context_tokens + working) / GB


def _logits(model: Decoder, stage: Training, passed: Forward, *, sharded: bool, teacher: Decoder | None) -> float:
    """What losses/head.py holds: a tile (of the teacher, too) and blocks, the gradients of hidden states and head in
    float32, and either copies of both in bfloat16 to multiply with or, where the model is in bfloat16, their gradients
    once more in that. A reward model's loss sees one position a row."""
    head, tokens = model.vocabulary * model.hidden, passed.all_tokens
    of_head = 0 if isinstance(stage.adapter, Lora) else 4 * head
    if isinstance(stage, RewardModel):
        return of_head + 2.0 * head + 8.0 * passed.rows * model.vocabulary
    tile = min(TILE_BYTES, 4 * tokens * model.vocabulary)
    blocks, rounded = 4 * min(BLOCK_BYTES, tile), 2 * (head + tokens * model.hidden)
    found = tile + 4 * tokens * model.hidden + of_head + (max(blocks, rounded) if sharded else blocks + rounded)
    if teacher is not None:
        found += tile + 2 * tokens * teacher.hidden
    elif isinstance(stage, Dpd) and stage.teacher.cache is not None:
        found += 12 * stage.teacher.cache.top_k * tokens
    return float(found)
