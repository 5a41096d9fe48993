"""Recipe -> Plan: the steps in run order, what each takes, a content-hash id for each, and what the store already has.

    prepare.py   command-line words -> plan; `plan`, `check` and `run` share it
    identity.py  the part of the recipe a step depends on, and its id
    steps.py     a stage of the recipe -> its steps (teacher, pairs, filter, evaluations)
    reuse.py     cached, to resume or to run, and why
    estimate.py  steps, tokens, memory and disk, where they can be had

Reads the recipe, small files and remembered digests; writes nothing; imports no torch, ray, vllm, transformers, sympy
or docker.
"""

from posttrain.plan.estimate import Estimate, estimate
from posttrain.plan.prepare import prepare, previous_steps
from posttrain.plan.reuse import StepStatus, plan_status
from posttrain.plan.steps import Plan, build_plan, recorded_steps

__all__ = [
    "Estimate",
    "Plan",
    "StepStatus",
    "build_plan",
    "estimate",
    "plan_status",
    "prepare",
    "previous_steps",
    "recorded_steps",
]
