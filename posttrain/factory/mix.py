"""`mix`: rows of several data sets to the phases of a curriculum, by shares of data sets and domains, and by bands of
quality.

A phase's rows are drawn as an epoch is: a row comes again only after all others of its data set and domain have come.
Pure: knows no files and no models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posttrain.data.mix import Seen, draw, seen_of_total, shares
from posttrain.data.source_rows import SourceRow
from posttrain.errors import DataError
from posttrain.recipe.schema import Mix, MixPhase


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedPhase:
    """The rows of a phase [N], in order. seen: data set, or data set and domain -> which of its rows the phase holds.

    Example: MixedPhase(rows=(...,), seen={"web/math": Seen(rows=63, drawn=96, not_seen=0, again=33)})
    """

    rows: tuple[SourceRow, ...]
    seen: Mapping[str, Seen]


def mix_rows(stage: Mix, rows: Mapping[str, Sequence[SourceRow]], seed: int) -> dict[str, MixedPhase]:
    """rows: data set -> its rows. Raises DataError: a row without its score or domain, a data set or domain without
    rows for a phase, or rows that would stand in a phase more often than max_repeats."""
    ranked = {name: _by_quality(stage, name, found) for name, found in rows.items()}
    phases = {}
    totals = shares({name: phase.share for name, phase in stage.phases.items()}, stage.rows)
    for number, name in enumerate(stage.phases):
        total = totals[name]
        pools, weights = _pools(stage, name, ranked)
        counts = shares(weights, total)
        for pool, count in counts.items():
            repeats = math.ceil(count / len(pools[pool]))
            if repeats > stage.max_repeats:
                raise DataError(
                    f"phase '{name}' takes {count:,} rows of '{pool}', which has {len(pools[pool]):,}: one would stand "
                    f"{repeats} times",
                    where=f"stages.{stage.name}.phases.{name}",
                    remedy=f"lower its share, widen its quality, add rows, or raise max_repeats ({stage.max_repeats})",
                )
        seen = {pool: seen_of_total({pool: len(pools[pool])}, {pool: 1.0}, count) for pool, count in counts.items()}
        phases[name] = MixedPhase(rows=tuple(draw(pools, weights, total, seed + number)), seen=seen)
    return phases


def _by_quality(stage: Mix, name: str, rows: Sequence[SourceRow]) -> list[SourceRow]:
    """Worst first; as they stand where no score is named."""
    if stage.score is None:
        return list(rows)
    scores = []
    for row in rows:
        value = row.metadata.get(stage.score)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _lacking(stage, name, row, "score", stage.score, f"{value!r}, not a number")
        scores.append(value)
    order = sorted(range(len(rows)), key=lambda place: (scores[place], place))
    return [rows[place] for place in order]


def _pools(
    stage: Mix, phase_name: str, ranked: Mapping[str, Sequence[SourceRow]]
) -> tuple[dict[str, list[SourceRow]], dict[str, float]]:
    """What a phase draws from, and by which weights: of a data set its band of quality, by domain where asked."""
    phase = stage.phases[phase_name]
    pools: dict[str, list[SourceRow]] = {}
    weights: dict[str, float] = {}
    for name, weight in (phase.data or stage.data).items():
        own = _by_domain(stage, phase, name, _band(ranked[name], phase.quality))
        if not own:
            raise DataError(
                f"data '{name}' has no row for phase '{phase_name}'",
                where=f"stages.{stage.name}.phases.{phase_name}",
                remedy="widen its quality or domains, or leave the data set out",
            )
        total = sum(share for share, _ in own.values())
        for pool, (share, rows) in own.items():
            pools[pool], weights[pool] = rows, weight * share / total
    names = phase.data or stage.data
    missing = [
        domain for domain in phase.domains or stage.domains if not any(f"{name}/{domain}" in pools for name in names)
    ]
    if missing:
        raise DataError(
            f"no row for phase '{phase_name}' is of the domain '{missing[0]}'",
            where=f"stages.{stage.name}.phases.{phase_name}",
            remedy="spell it as the rows do, widen the phase's quality, or leave the domain out",
        )
    return pools, weights


def _band(ranked: Sequence[SourceRow], quality: tuple[float, float]) -> list[SourceRow]:
    low, high = (round(edge * len(ranked)) for edge in quality)
    return list(ranked[low:high])


def _by_domain(
    stage: Mix, phase: MixPhase, name: str, rows: Sequence[SourceRow]
) -> dict[str, tuple[float, list[SourceRow]]]:
    """Pool -> (weight within the data set, rows). Domains without a weight are left out."""
    wanted = phase.domains or stage.domains
    if not wanted:
        return {name: (1.0, list(rows))} if rows else {}
    found: dict[str, tuple[float, list[SourceRow]]] = {}
    for row in rows:
        domain = row.metadata.get(stage.domain or "")
        if not isinstance(domain, str):
            raise _lacking(stage, name, row, "domain", stage.domain, f"{domain!r}, not text")
        if domain in wanted:
            found.setdefault(f"{name}/{domain}", (wanted[domain], []))[1].append(row)
    return found


def _lacking(stage: Mix, name: str, row: SourceRow, what: str, key: str | None, value: str) -> DataError:
    return DataError(
        f"'{key}' in the metadata of row {row.number} of data '{name}' is {value}",
        where=f"stages.{stage.name}.{what}",
        remedy="name a key that every row has, or take such rows out",
    )
