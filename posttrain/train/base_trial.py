"""Does a base survive what the stages will do to it? Its files are looked at without weights (`posttrain check`); then,
in a worker before the first stage, it is loaded, run, trained a tiny step, saved and loaded again (`fitness`).

Knows nothing of data: the tokens are random.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import Chat, Lora
from posttrain.rollout.causal import load_causal, outline, refuse_unbatchable
from posttrain.rollout.parity import folder_logprobs, largest_gap, probe_of, trainer_logprobs
from posttrain.rollout.servable import refuse_unservable
from posttrain.rollout.weights import read_config
from posttrain.train.adapter import add_adapter
from posttrain.train.model import load_model, save_model
from posttrain.train.published import generation_settings
from posttrain.train.teacher import dtype_of

SAVED_TOLERANCE = 1e-3  # nats, between the trained model and what was read back from its files; a merge rounds by 1e-5
_STEP = 1e-3  # of Adam's first update, which has this size in every trained weight: enough to show, too little to harm


def examine_base(folder: Path, chat: Chat, recipe_dir: Path, adapters: Sequence[Lora] = ()) -> list[str]:
    """What is to be said of a base from its files, without memory for its weights. Raises CheckpointError for what
    cannot be trained right: tensors that are missing, ids beyond the embedding, quantised weights, targets of a LoRA
    that are not there."""
    loaded = outline(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown")
        raise CheckpointError(
            f"the weights are quantised (quantization_config: {method}), which cannot be trained",
            where=str(folder / "config.json"),
            remedy="give the model in bfloat16, float16 or float32",
        )
    said = []
    if loaded.unexpected:
        said.append(
            f"{len(loaded.unexpected)} tensors in the files are not used and will not be published, such as "
            f"{loaded.unexpected[0]}"
        )
    beyond = _ids_beyond_embedding(folder, chat, recipe_dir, loaded.model.get_input_embeddings().weight.shape[0])
    repaired = generation_settings(folder)[1]
    said += [remark for remark in (beyond, repaired) if remark is not None]
    for adapter in adapters:
        add_adapter(outline(folder).model, adapter, 0)
    return said


def _ids_beyond_embedding(folder: Path, chat: Chat, recipe_dir: Path, rows: int) -> str | None:
    """Special tokens beyond the last row that no text can hold are said; any other id there would end training."""
    template = ChatTemplate.load(folder, chat, recipe_dir)
    tokenizer = template.tokenizer
    # Those of chat.add_tokens are beyond it until the first stage has made room.
    beyond = {
        number: token
        for token, number in tokenizer.get_vocab().items()
        if number >= rows and token not in template.added
    }
    if not beyond:
        return None
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"{chat.think[0]}a{chat.think[1]}b"}]
    used = {*template.encode_conversation(turns).ids, *template.stop_ids}
    reachable = sorted(number for number in beyond if number not in special or number in used)
    if reachable:
        raise CheckpointError(
            f"{len(reachable)} token ids of the tokenizer are beyond the embedding's {rows} rows, such as "
            f"{reachable[0]} {beyond[reachable[0]]!r}",
            where=str(folder),
            remedy="resize the model (model.resize_token_embeddings) and save it, or give the tokenizer it came with",
        )
    return f"special tokens beyond the embedding, in no text: {', '.join(beyond[number] for number in sorted(beyond))}"


def refuse_unsampled(folder: Path, backend: str) -> str:
    """One line where the engine of this backend runs the model. Raises CheckpointError, naming the architecture."""
    from transformers import AutoConfig

    if backend == "hf":
        return refuse_unbatchable(AutoConfig.from_pretrained(str(folder), local_files_only=True), str(folder))
    return refuse_unservable(folder, str(folder))


def try_base(
    folder: Path, scratch: Path, *, chat: Chat, recipe_dir: Path, adapters: Sequence[Lora | str], seed: int
) -> list[str]:
    """Runs in every trainer worker; the first one looks. What is to be said of the model, after a forward pass and, for
    each way in which stages train it, a step that is saved and read back. Raises CheckpointError. Leaves nothing in
    `scratch`."""
    if not is_first_rank():
        return []
    said = examine_base(folder, chat, recipe_dir, [one for one in adapters if isinstance(one, Lora)])
    if not adapters:
        run_once(folder)
    for adapter in adapters:
        try:
            try_training(folder, scratch, chat=chat, adapter=adapter, seed=seed, recipe_dir=recipe_dir)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return said


def run_once(folder: Path) -> None:
    """One forward pass over short random sequences, in the dtype that a teacher answers in. Raises CheckpointError
    where a log-probability is not finite."""
    model = load_causal(folder, dtype_of(read_config(folder), "cuda" if torch.cuda.is_available() else "cpu"))
    _refuse_unfinite(model, folder)


def try_training(
    folder: Path, out: Path, *, chat: Chat, adapter: Lora | str, seed: int, recipe_dir: Path | None = None
) -> float:
    """Train a step, save into `out`, load what was saved. Returns the gap in log-probabilities (nats) between the model
    in memory and the one read back. Raises CheckpointError where a gradient is missing or not finite, or the gap is
    above SAVED_TOLERANCE."""
    model = load_model(folder, adapter=adapter, seed=seed)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    sequences, starts = _refuse_unfinite(model, folder)
    ids = torch.tensor([sequences[0]], device=next(model.parameters()).device)
    trained = [one for one in model.parameters() if one.requires_grad]
    # One tensor at a time: all at once would hold a quarter more memory on a GPU, for one step.
    optimiser = torch.optim.AdamW(trained, lr=_STEP, foreach=False)
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**63)
        model.train()
        logprobs = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0, :-1].float(), dim=-1)
    (-logprobs.gather(1, ids[0, 1:, None]).mean()).backward()
    broken = [
        name for name, one in model.named_parameters() if one.grad is not None and not bool(one.grad.isfinite().all())
    ]
    if broken:
        raise CheckpointError(
            f"the gradient of {broken[0]} ({len(broken)} tensors) is not finite after one step",
            where=str(folder),
            remedy="the weights overflow in float32: download the base again, or give another",
        )
    optimiser.step()
    model.to("cpu")  # where what was saved is read back: the same kernels on both sides
    template = ChatTemplate.load(folder, chat, recipe_dir)
    save_model(model, out, source=folder, chat=chat, stop_ids=template.stop_ids, recipe_dir=recipe_dir)
    gap = largest_gap(trainer_logprobs(model, sequences, starts), folder_logprobs(out)(sequences, starts))
    if gap > SAVED_TOLERANCE:
        raise CheckpointError(
            f"what was saved after a step is not what was trained: log-probabilities differ by {gap:.3g} nats",
            where=str(folder),
            remedy="this base cannot be published right by the transformers that is installed: give another base",
        )
    return gap


def _refuse_unfinite(model: Any, folder: Path) -> tuple[list[list[int]], list[int]]:
    sequences, starts = probe_of(model.get_input_embeddings().weight.shape[0])
    if not all(value > float("-inf") for row in trainer_logprobs(model, sequences, starts) for value in row):
        raise CheckpointError(
            "log-probabilities of the base are not finite",
            where=str(folder),
            remedy="its weights are damaged: download it again, or give another base",
        )
    return sequences, starts
