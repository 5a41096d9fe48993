"""Dual-Level Preference Distillation: one forward of the student over both answers serves teacher KL and DPO; another
over answers that it gave itself before the step (fresh.py).

Credit: KD lands on every token of the good, the bad and the fresh answer, by the teacher's whole distribution there;
DPO on the sum of each answer of a pair. Which of them, and by what weight, goes by the data set of the prompt. Each
term is divided by what it is taken on, over all data sets: pairs, good tokens, bad tokens, fresh tokens; tokens that
the recipe keeps out of the KL (kd_skip) are in neither sum nor count. The teacher is in memory, or was
(teacher_logprobs.py); where it gives text alone there is no KL.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from transformers import TrainingArguments

from posttrain.data.mix import draw, num_rows, seen_of_total
from posttrain.data.special_tokens import kd_skipped
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError, Stopped
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.distillation import Domain, domains_of
from posttrain.recipe.schema import Dpd
from posttrain.records.codec import as_json
from posttrain.records.metrics import DpdMetrics, metrics_rows
from posttrain.sampling.job import FollowingEngine
from posttrain.train.attention import training_attention
from posttrain.train.feed import carry_rollouts
from posttrain.train.fresh import FreshAnswers, FreshRow
from posttrain.train.hidden import open_head
from posttrain.train.job import Job
from posttrain.train.losses.dpd import dpo_loss, dpo_margin
from posttrain.train.losses.head import States
from posttrain.train.losses.sparse import SparseTargets
from posttrain.train.losses.tiled import Divergence, distillation_loss, logprob_loss
from posttrain.train.model import finished, load_model, num_parameters, save_model
from posttrain.train.pairs import SIDES, PairRow, answer_batch, answer_sums, over_trained, pair_batch, pair_rows
from posttrain.train.reference import reference_sums
from posttrain.train.sharding import wants_sharding, whole_model
from posttrain.train.teacher import CachedTeacher, LiveTeacher, TeacherTargets, frozen_model, refuse_other_tokens
from posttrain.train.teacher_cache import Cache
from posttrain.train.trainer import (
    Recorder,
    StepTrainer,
    chunks,
    even_rows,
    global_sum,
    micro_split,
    num_steps,
    run_trainer,
    settings,
)

T = TypeVar("T", PairRow, FreshRow)
KL_TERMS = ("chosen", "rejected", "fresh")
WHOLE = {"pairs": 1.0}  # one data set, so passes are over all of it


@dataclass(frozen=True, kw_only=True, slots=True)
class DpdSetup:
    """What the trainer is to do. micro: pairs a forward pass; read: the pairs that it will read, each once; skipped:
    token ids that no KL is taken on.

    Example: DpdSetup(stage=Dpd(...), micro=4, read=(PairRow(...),), skipped=frozenset({151645}))
    """

    stage: Dpd
    micro: int
    read: Sequence[PairRow]
    skipped: Collection[int] = ()


class DpdTrainer(StepTrainer):
    """Trains on pairs, and on answers that the student gives while it trains (fresh; None: none). The teacher has the
    student's ids, or gives text alone and is None."""

    dropout = False  # the margin is against a reference that was computed without

    def __init__(
        self,
        *,
        teacher: TeacherTargets | None,
        setup: DpdSetup,
        recorder: Recorder,
        fresh: FreshAnswers | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_collator=list, **kwargs)
        open_head(self.model)
        self.teacher, self.setup, self.stage, self.fresh = teacher, setup, setup.stage, fresh
        self.recorder = recorder
        self.domains = domains_of(self.stage)
        self.reference: Mapping[int, tuple[float, float]] = {}
        self.counts: dict[str, float] = {}
        self.summed = ("dpo_loss", "margin", "accuracy", *(self._named(term, name) for term, name in self._terms()))
        self.largest = ("sync_gap",) if fresh is not None else ()
        self.skipped = torch.tensor(sorted(setup.skipped), dtype=torch.long, device=self.args.device)

    def _terms(self) -> Iterator[tuple[str, str]]:
        """(term, data set) of each KL, "" for all data sets together."""
        names = ["", *self.domains] if len(self.domains) > 1 else [""]
        return itertools.product(KL_TERMS, names)

    def _named(self, term: str, domain: str) -> str:
        return f"kd_{term}.{domain}" if domain else f"kd_{term}"

    def micro_batches(self, rows: Any) -> Sequence[Any]:
        pairs: list[PairRow] = [row["pair"] for row in rows if row is not None]
        pairs = [pair for pair in pairs if self.domains[pair.domain].reads_pairs]
        if not self.reference and self.setup.read:  # not before: the model is on its device now, and sharded
            plain = self.accelerator.unwrap_model(self.model)
            self.reference = reference_sums(plain, self.setup.read, self.setup.micro, self.recorder.job)
        fresh = self._fresh_rows()
        self._count(pairs, fresh)
        self.recorder.extra = dict.fromkeys((*self.summed, *self.largest), 0.0)
        if self.fresh is not None:
            self.recorder.extra |= {"fresh_tokens": self.counts["tokens"], "sync_gap": self.fresh.follower.gap}
        # of fresh answers, as many a pass as answers of pairs; long ones apart, for less padding
        fresh.sort(key=lambda row: len(row.prompt) + len(row.answer))
        return [*self._alike(pairs, self.setup.micro), *self._alike(fresh, 2 * self.setup.micro)]

    def _fresh_rows(self) -> list[FreshRow]:
        fresh, step = self.fresh, self.state.global_step
        if fresh is None:
            return []
        beside = [self.teacher.model] if isinstance(self.teacher, LiveTeacher) else []
        return self.sampled(lambda: fresh.rows(step, self.model, self.optimizer, beside))

    def _count(self, pairs: Sequence[PairRow], fresh: Sequence[FreshRow]) -> None:
        """What each term of the step is taken on, over all workers and by data set."""
        mine: Counter[str] = Counter(pairs=len(pairs), tokens=sum(len(row.answer) for row in fresh))
        for row in fresh:
            mine[self._named("fresh", row.domain)] += row.kd
        for pair in pairs:
            if self.domains[pair.domain].off_policy:
                mine[self._named("chosen", pair.domain)] += pair.kd_chosen
                mine[self._named("rejected", pair.domain)] += pair.kd_rejected
        keys = ("pairs", "tokens", *(self._named(*one) for one in itertools.product(KL_TERMS, self.domains)))
        self.counts = {key: global_sum(mine[key], self.args.device) for key in keys}
        for term in KL_TERMS:
            self.counts[self._named(term, "")] = sum(self.counts[self._named(term, name)] for name in self.domains)

    def _alike(self, rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
        """Micro-batches of rows that are softened alike, and that the teacher reads or does not read."""
        groups: dict[tuple[float, bool], list[T]] = {}
        for row in rows:
            domain = self.domains[row.domain]
            groups.setdefault((domain.temperature, domain.off_policy), []).append(row)
        for group in groups.values():
            yield from chunks(group, size)

    def micro_loss(self, model: Any, micro: Sequence[PairRow] | Sequence[FreshRow]) -> torch.Tensor:
        if isinstance(micro[0], FreshRow):
            return self._loss_of_fresh(model, cast("Sequence[FreshRow]", micro))
        return self._loss_of_pairs(model, cast("Sequence[PairRow]", micro))

    def _loss_of_fresh(self, model: Any, micro: Sequence[FreshRow]) -> torch.Tensor:
        assert self.teacher is not None, "the recipe's check: fresh answers have a teacher beside the student"
        batch = answer_batch([(row.prompt, row.answer) for row in micro], self.args.device)
        teacher = self.teacher.of((), batch)
        its = [self.domains[row.domain] for row in micro]
        kl = _Kl(batch, self.skipped, [one.weights.fresh for one in its], [self.counts["kd_fresh"]] * len(micro))

        def loss_of(student: States, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            how = self._divergence(its[0])
            return distillation_loss(student, teacher, targets_N, divergence=how, weights_N=kl.weights_N)

        loss, divergence, _ = over_trained(model, batch, loss_of)
        self._tell("fresh", kl.sums(divergence), [row.domain for row in micro])
        return loss

    def _loss_of_pairs(self, model: Any, micro: Sequence[PairRow]) -> torch.Tensor:
        stage, device = self.stage, self.args.device
        batch = pair_batch(micro, device)
        its = [self.domains[pair.domain] for pair in micro]
        teacher = self._said_of_pairs(micro, batch, its[0])
        chosen, rejected = ([getattr(one.weights, side) for one in its] for side in SIDES)
        counts = [self.counts[self._named(side, "")] for side in SIDES for _ in micro]
        kl = _Kl(batch, self.skipped, [*chosen, *rejected], counts)
        sequence = torch.tensor([one.weights.sequence for one in its], device=device)
        references = torch.tensor([self.reference[pair.number] for pair in micro], device=device).t()

        def sides(logprobs_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            chosen, rejected = answer_sums(logprobs_N, batch).split(len(micro))
            return chosen, rejected, references[0], references[1]

        def sequence_loss(logprobs_N: torch.Tensor) -> torch.Tensor:
            return (dpo_loss(*sides(logprobs_N), beta=stage.beta) * sequence).sum() / self.counts["pairs"]

        def loss_of(student: States, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if teacher is None:
                found = logprob_loss(student, targets_N, sequence_loss)
                return found.loss, torch.zeros_like(found.logprobs_N), found.logprobs_N
            return distillation_loss(
                student,
                teacher,
                targets_N,
                divergence=self._divergence(its[0]),
                weights_N=kl.weights_N,
                of_logprobs=sequence_loss if any(one.weights.sequence for one in its) else None,
            )

        loss, divergence, logprobs = over_trained(model, batch, loss_of)
        margin = dpo_margin(*sides(logprobs))
        extra = self.recorder.extra
        found = {
            "dpo_loss": dpo_loss(*sides(logprobs), beta=stage.beta).sum(),
            "margin": margin.sum(),
            "accuracy": (margin > 0).sum(),
        }
        for key, value in found.items():
            extra[key] += float(value) / self.counts["pairs"]
        if teacher is not None:
            names = [pair.domain for pair in micro]
            for side, sums in zip(SIDES, kl.sums(divergence).split(len(micro)), strict=True):
                self._tell(side, sums, names)
        return loss

    def _said_of_pairs(self, micro: Sequence[PairRow], batch: Any, domain: Domain) -> States | SparseTargets | None:
        """Where no KL is taken on the pairs of a data set, the teacher is not asked."""
        if self.teacher is None:
            return None
        if domain.off_policy:
            return self.teacher.of(micro, batch)
        self.teacher.join(self.args.device)  # where it is shared, another worker may ask it now
        return None

    def _divergence(self, domain: Domain) -> Divergence:
        return Divergence(kind=self.stage.divergence, jsd_beta=self.stage.jsd_beta, temperature=domain.temperature)

    def _tell(self, term: str, sums_R: torch.Tensor, domains: Sequence[str]) -> None:
        """The KL of rows, nats, in the metrics: of all data sets together and of each."""
        extra = self.recorder.extra
        for value, domain in zip(sums_R.tolist(), domains, strict=True):
            for name in ("", domain) if len(self.domains) > 1 else ("",):
                key = self._named(term, name)
                extra[key] += value / max(1.0, self.counts[key])

    def before_update(self) -> None:
        """What the step did not hold has no figure."""
        for key in [*self.summed]:
            if not self.counts.get(key, self.counts["pairs"]):
                self.recorder.extra.pop(key)

    def join_others(self, model: Any) -> None:
        """As a micro-batch: the teacher before the student, since both may be shared among the workers."""
        if self.teacher is not None:
            self.teacher.join(self.args.device)
        super().join_others(model)


class _Kl:
    """The share of each trained token [N] in a KL term over the rows [R] of a batch: the weight of its row over the
    count of the term, 0 for tokens that are skipped."""

    def __init__(
        self,
        batch: Mapping[str, torch.Tensor],
        skipped: torch.Tensor,
        weights_R: Sequence[float],
        counts_R: Sequence[float],
    ) -> None:
        self.row_N = batch["trained"].nonzero()[:, 0]
        self.taken_N = ~torch.isin(batch["input_ids"][:, 1:][batch["trained"]], skipped)
        # a step may hold no token that KL is taken on: its share is 0, and not 0 / 0
        shares = [weight / max(1.0, count) for weight, count in zip(weights_R, counts_R, strict=True)]
        self.weights_N = torch.tensor(shares, device=skipped.device)[self.row_N] * self.taken_N
        self.num_rows = len(shares)

    def sums(self, divergence_N: torch.Tensor) -> torch.Tensor:
        """Of each row [R], nats."""
        return divergence_N.new_zeros(self.num_rows).index_add(0, self.row_N, divergence_N * self.taken_N)


def train(job: Job, teacher: Path | None, following: FollowingEngine | None = None) -> dict[str, Any]:
    """Runs in every trainer worker. teacher: its model folder; None where job.inputs holds its cache, or it gives text
    alone; following: the engine that answers for the student, where the recipe asks for fresh answers. Writes
    job.output/model."""
    stage: Dpd = job.stage
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    if teacher is not None:
        refuse_other_tokens(template, teacher, job)
    skipped = kd_skipped(template.tokenizer, stage.kd_skip)
    rows = pair_rows(job, template, skipped)
    sizes = {"pairs": len(rows)}
    total = stage.steps * stage.batch_size if stage.steps else num_rows(sizes, WHOLE, stage.epochs or 1.0)
    steps, seen = num_steps(total, stage.batch_size), seen_of_total(sizes, WHOLE, total)
    micro, _ = micro_split(stage)
    make = functools.partial(load_model, job.model, adapter=stage.adapter, seed=job.seed)
    model = make()
    drawn = draw({"pairs": rows}, WHOLE, total, job.seed)
    sharded = wants_sharding(job.sharding, model)
    rows_a_worker = stage.batch_size // world_size()
    arguments = TrainingArguments(
        **settings(job, stage, steps, rows_per_forward=rows_a_worker, accumulation=1, sharded=sharded)
    )
    by_step = list(chunks(drawn, stage.batch_size))
    recorder = Recorder(job, lambda step: [row.name for row in by_step[step]])
    read = [row for row in drawn if domains_of(stage)[row.domain].reads_pairs]
    once = sorted({row.number: row for row in read}.values(), key=lambda row: row.number)
    setup = DpdSetup(stage=stage, micro=micro, read=once, skipped=skipped)
    fresh = None if following is None else _fresh(job, template, following, by_step, skipped)
    with _teacher(job, teacher, arguments.device) as its:
        trainer = DpdTrainer(
            model=model,
            args=arguments,
            train_dataset=even_rows([{"pair": row} for row in drawn], None, stage.batch_size),
            teacher=its,
            setup=setup,
            recorder=recorder,
            fresh=fresh,
        )
        try:
            run_trainer(trainer, recorder, job)
        except Stopped:
            return {"stopped": True}
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    trained_model = whole_model(trainer.model, make)
    if not is_first_rank():
        return {}
    folder, stop_ids = job.output / "model", template.stop_ids
    parameters = num_parameters(trainer.model)
    save_model(
        finished(trained_model, stage.publish.dtype),
        folder,
        source=job.model,
        chat=job.chat,
        stop_ids=stop_ids,
        recipe_dir=job.recipe_dir,
        dtype=stage.publish.dtype,
    )
    sampled = int(sum(row.values.get("fresh_tokens", 0.0) for row in metrics_rows(recorder.path)))
    metrics = DpdMetrics(
        loss=recorder.last_loss(trainer.state.log_history),
        steps=steps,
        pairs=len(rows),
        trained_tokens=sum(len(row.chosen) + len(row.rejected) for row in read) + sampled,
        generated_tokens=sampled if following is not None else None,
        parameters=parameters,
        rows_not_seen=seen.not_seen,
        rows_again=seen.again,
    )
    return dict(as_json(metrics))


def _fresh(
    job: Job,
    template: ChatTemplate,
    following: FollowingEngine,
    by_step: Sequence[Sequence[PairRow]],
    skipped: Collection[int],
) -> FreshAnswers:
    """by_step: the pairs of each step, to the prompts of which the student answers where their data set says so."""
    domains = domains_of(job.stage)
    carry_rollouts(job)
    asked = [[row.asked for row in rows if domains[row.domain].fresh] for rows in by_step]
    return FreshAnswers(job, template, following, asked, skipped)


@contextmanager
def _teacher(job: Job, folder: Path | None, device: torch.device) -> Iterator[TeacherTargets | None]:
    """The teacher's targets: its cache where the stage has one, itself, or None where it gives text alone. Raises
    StageError for a cache of another temperature."""
    stage: Dpd = job.stage
    if "teacher_logprobs" in job.inputs:
        cache = Cache(job.inputs["teacher_logprobs"])
        if cache.facts.temperature != stage.kd_temperature:
            raise StageError(
                f"the teacher's cache is softened by {cache.facts.temperature:g}, kd_temperature is "
                f"{stage.kd_temperature:g}",
                where=f"stages.{stage.name}.kd_temperature",
                remedy="run the step that writes the cache again",
            )
        yield CachedTeacher(cache, device)
    elif folder is not None:
        model = frozen_model(folder, job.sharding, device)
        with training_attention(model, stage.attention, device.type):
            yield LiveTeacher(model)
    else:
        assert not (stage.weights.chosen or stage.weights.rejected), "the recipe's check: text alone has no KL"
        yield None
