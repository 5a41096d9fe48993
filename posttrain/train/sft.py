"""Supervised fine-tuning: TRL's SFTTrainer over the sequences that the step `<name>.tokens` published, mapped into
memory.

Credit: every token of an assistant turn up to and with its stop token; loss is the mean over the step's trained tokens,
whatever the split.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from typing import Any

from posttrain.data.source import SET_ASIDE
from posttrain.data.template import ChatTemplate
from posttrain.errors import RecipeError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.phases import longest_row
from posttrain.recipe.schema import Sft
from posttrain.records.codec import as_json
from posttrain.records.metrics import SftMetrics
from posttrain.train.job import Job
from posttrain.train.tokens import IGNORED, Sequences

ROUTER_KEYS = ("output_router_logits", "router_aux_loss_coef")


def router_settings(config: Any, stage: Sft) -> dict[str, Any]:
    """What a model's config says of the router's loss. Raises RecipeError where the recipe wants one that the model
    cannot give."""
    found = {key: getattr(config, key) for key in ROUTER_KEYS if hasattr(config, key)}
    if stage.router_loss and ROUTER_KEYS[0] not in found:
        raise RecipeError(
            f"router_loss is {stage.router_loss}, but the model ({config.model_type}) has no experts to balance",
            where=f"stages.{stage.name}.router_loss",
            remedy="leave router_loss out",
        )
    return found


def train(job: Job) -> dict[str, Any]:
    """Runs in every trainer worker; the first rank writes job.output/model. Returns headline metrics, or {"stopped":
    True}."""
    import datasets
    from torch.optim.lr_scheduler import LambdaLR
    from trl import SFTConfig, SFTTrainer

    from posttrain.train.checkpoints import OwnCheckpoints
    from posttrain.train.model import finished, load_model, num_parameters, save_model
    from posttrain.train.new_tokens import grow_embedding, publish_tokens
    from posttrain.train.phases import Phases
    from posttrain.train.raised import with_raised_positions
    from posttrain.train.sharding import wants_sharding, whole_model
    from posttrain.train.trainer import Recorder, even_rows, micro_split, run_trainer, settings

    stage: Sft = job.stage
    raised = job.attempt / f"raised-{os.environ.get('RANK', '0')}"
    job = replace(job, model=with_raised_positions(job.model, stage, raised))
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    sequences = Sequences(job.inputs["tokens"])
    sequences.check_tokenizer(template, job.step_name)
    steps = math.ceil(len(sequences) / stage.batch_size)
    micro, passes = micro_split(stage)
    blank = {"input_ids": [template.stop_ids[0]], "labels": [IGNORED], "seq_lengths": [1]}
    numbers = even_rows(range(len(sequences)), -1, micro * world_size())

    def examples(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        found = [blank if number < 0 else sequences.example(number) for number in batch["number"]]
        return {key: [example[key] for example in found] for key in blank}

    table = datasets.Dataset.from_dict({"number": numbers}).with_transform(examples)

    def make() -> Any:
        model = load_model(job.model, adapter=stage.adapter, seed=job.seed)
        grow_embedding(model, template, where=f"stages.{stage.name}.adapter")
        return model

    model = make()
    sharded = wants_sharding(job.sharding, model)
    arguments = settings(job, stage, steps, rows_per_forward=micro, accumulation=passes, sharded=sharded)
    # Rows come as ids and labels, and packed: `packing` only has the collator keep the rows of a sequence apart.
    arguments |= {"packing": stage.packing, "max_length": longest_row(stage) if stage.packing else None}
    arguments |= {"dataset_kwargs": {"skip_prepare_dataset": True}, "router_aux_loss_coef": stage.router_loss}
    router = router_settings(model.config.get_text_config(), stage)

    def rows_of(step: int) -> list[str]:
        last = min(len(sequences), (step + 1) * stage.batch_size)
        return list(sequences.named(range(step * stage.batch_size, last)))

    recorder = Recorder(job, rows_of)

    phases = Phases(stage)

    class Watched(OwnCheckpoints, SFTTrainer):  # type: ignore[misc]
        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            if stage.phases and getattr(self, "lr_scheduler", None) is None:
                self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: phases.factor(step))
            return super().create_scheduler(num_training_steps, optimizer)

        def training_step(self, *given: Any, **named: Any) -> Any:
            return recorder.watch(super().training_step(*given, **named))

    trainer = Watched(
        model=model, args=SFTConfig(**arguments), train_dataset=table, processing_class=template.tokenizer
    )
    if stage.phases:
        trainer.add_callback(phases)
    run_trainer(trainer, recorder, job)
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    # SFTTrainer wrote its own into the config, which is published.
    for key, value in router.items():
        setattr(trainer.model.config.get_text_config(), key, value)
    trained_model = whole_model(trainer.model, make)
    parameters = num_parameters(trainer.model)
    if is_first_rank():
        save_model(
            finished(trained_model, stage.publish.dtype),
            job.output / "model",
            source=job.model,
            chat=job.chat,
            stop_ids=template.stop_ids,
            recipe_dir=job.recipe_dir,
            dtype=stage.publish.dtype,
        )
        publish_tokens(template, job.output / "model")
        if (sequences.folder / SET_ASIDE).is_file():
            shutil.copyfile(sequences.folder / SET_ASIDE, job.output / SET_ASIDE)
    made = sequences.facts.metrics
    metrics = SftMetrics(
        loss=recorder.last_loss(trainer.state.log_history),
        steps=steps,
        rows=made.rows,
        trained_tokens=made.trained_tokens,
        parameters=parameters,
        faulty_rows=made.faulty_rows,
        too_long_rows=made.too_long_rows,
        rows_not_seen=made.rows_not_seen,
        rows_again=made.rows_again,
        trained_turns=made.trained_turns,
        untrained_turns=made.untrained_turns,
        context_turns=made.context_turns,
        other_context_turns=made.other_context_turns,
    )
    return dict(as_json(metrics))
