"""How each data set of a dpd stage is distilled, and what its teacher must give for it.

    domains_of(stage)           data set -> mode, weights and temperature, its own or the stage's
    check_distillation(...)     refuses what a teacher, a cache or an earlier policy cannot give

Knows neither models nor rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.recipe.location import Source, near
from posttrain.recipe.resolve import BASE, data_of, is_policy, takes_kl
from posttrain.recipe.schema import Dpd, DpdDomain, DpdWeights, Grpo, Recipe, Stage
from posttrain.recipe.yaml_core import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """How the pairs of a data set are distilled. off_policy, fresh: whether the KL is taken on the answers of the pair,
    and on those that the student gives anew.

    Example: Domain(off_policy=False, fresh=True, weights=DpdWeights(sequence=0.0), temperature=1.6)
    """

    off_policy: bool
    fresh: bool
    weights: DpdWeights
    temperature: float

    @property
    def reads_pairs(self) -> bool:
        """Whether any term is taken on the answers of the pair."""
        return self.off_policy or self.weights.sequence > 0

    def terms(self) -> dict[str, float]:
        """Weight of each term that is taken."""
        taken = {"sequence": True, "chosen": self.off_policy, "rejected": self.off_policy, "fresh": self.fresh}
        return {name: getattr(self.weights, name) for name, is_taken in taken.items() if is_taken}


def domains_of(stage: Dpd) -> dict[str, Domain]:
    """Data set of the stage's prompts -> how its pairs are distilled."""
    return {name: _domain(stage, stage.domains.get(name, DpdDomain())) for name in data_of(stage)}


def _domain(stage: Dpd, own: DpdDomain) -> Domain:
    mode = own.mode or stage.mode
    said = own.weights.model_dump(exclude_none=True)
    return Domain(
        off_policy=mode != "on_policy",
        fresh=mode != "off_policy",
        weights=stage.weights.model_copy(update=said),
        temperature=stage.kd_temperature if own.kd_temperature is None else own.kd_temperature,
    )


def samples_fresh(stage: Dpd) -> bool:
    """Whether the student answers while it is trained."""
    return any(domain.fresh for domain in domains_of(stage).values())


def follows_weights(stage: Stage) -> bool:
    """Whether engines take the weights of a stage while it trains."""
    return isinstance(stage, Grpo) or (isinstance(stage, Dpd) and samples_fresh(stage))


def check_distillation(recipe: Recipe, source: Source, index: int, stage: Dpd) -> None:
    """Raises RecipeError."""
    key: Key = ("stages", index)
    for name in stage.domains:
        if name not in data_of(stage):
            source.fail((*key, "domains", name), f"'{name}' is none of the stage's prompts", near(name, data_of(stage)))
    domains = domains_of(stage)
    for name, domain in domains.items():
        place: Key = (*key, "domains", name) if name in stage.domains else key
        _check_domain(source, place, domain, takes_kl(stage))
    _check_cache(source, key, stage, domains)
    earlier = [BASE, *(other.name for other in recipe.stages[:index] if is_policy(other))]
    if stage.negatives_from is not None and stage.negatives_from not in earlier:
        what = f"'{stage.negatives_from}' is no policy before '{stage.name}'"
        source.fail((*key, "negatives_from"), what, near(stage.negatives_from, earlier))


def _check_domain(source: Source, place: Key, domain: Domain, takes: bool) -> None:
    """What a data set asks of the teacher. place: its own keys, or the stage's."""
    weights = domain.weights
    if domain.fresh and not takes:
        source.fail(
            (*place, "mode"),
            "the teacher gives text alone, so it has nothing to say of the student's fresh answers",
            "set mode: off_policy, or teacher.gives: logprobs",
        )
    if not takes and (weights.chosen or weights.rejected):
        source.fail(
            (*place, "weights"),
            f"the teacher gives text alone, so there is no distribution to take a KL from, and weights.chosen is "
            f"{weights.chosen:g}, weights.rejected {weights.rejected:g}",
            f"set weights: {{sequence: {weights.sequence or 1.0:g}, chosen: 0.0, rejected: 0.0}}, or teacher.gives: "
            "logprobs",
        )
    if domain.fresh and not weights.fresh:
        source.fail(
            (*place, "weights"),
            "fresh answers are sampled, and weights.fresh is 0, so nothing is learnt from them",
            "give it a weight above 0, or set mode: off_policy",
        )
    if not any(domain.terms().values()):
        names = " and ".join(domain.terms())
        source.fail(
            (*place, "weights"),
            f"the weights of all its terms ({names}) are 0, so there is no loss",
            "give at least one a weight above 0",
        )


def _check_cache(source: Source, key: Key, stage: Dpd, domains: dict[str, Domain]) -> None:
    """A cache holds the answers of the pairs, softened once."""
    if stage.teacher.cache is None:
        return
    cache: Key = (*key, "teacher", "cache")
    for name, domain in domains.items():
        place: Key = (*key, "domains", name) if name in stage.domains else key
        if domain.fresh:
            source.fail(
                (*place, "mode"),
                "a cache is written before the training, and cannot hold answers that the student gives in it",
                "leave teacher.cache out, or set mode: off_policy",
            )
        if domain.temperature != stage.kd_temperature:
            source.fail(
                (*place, "kd_temperature"),
                f"the teacher's cache is softened by the stage's {stage.kd_temperature:g} alone",
                "leave it out, or leave teacher.cache out",
            )
    takes = takes_kl(stage)
    if not takes or not any(domain.weights.chosen or domain.weights.rejected for domain in domains.values()):
        why = "the weights of both KL terms are 0" if takes else "the teacher gives text alone"
        source.fail(cache, f"{why}, so nothing would read the cache", "leave it out")
