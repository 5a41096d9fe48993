"""Do the models behind endpoints answer that verifiers ask (`model: {endpoint: URL, ...}`)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from posttrain.preflight.finding import Finding, finding_of
from posttrain.preflight.subject import Subject


def model_servers(subject: Subject) -> Iterator[Finding]:
    """One finding for each endpoint of each verifier that is used."""
    from rewards.models.endpoint import probe

    verifiers = subject.plan.recipe.verifiers
    for name in sorted({verifier for verifier, _ in subject.judged_data()}):
        for model in endpoints(verifiers[name].options):
            yield finding_of(f"model of verifier {name}", partial(probe, model))


def endpoints(spec: Any) -> list[Mapping[str, Any]]:
    """Models behind endpoints that a verifier's arguments name, at any depth."""
    if isinstance(spec, Mapping):
        model = spec.get("model")
        own = [model] if isinstance(model, Mapping) and "endpoint" in model else []
        return own + [found for value in spec.values() for found in endpoints(value)]
    return [found for item in spec for found in endpoints(item)] if isinstance(spec, list | tuple) else []
