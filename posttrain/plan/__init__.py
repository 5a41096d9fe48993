"""Recipe -> Plan: the steps in run order, what each takes, a content-hash id for each, and what the store already has.

    prepare.py   command-line words -> plan; `plan`, `check` and `run` share it
    identity.py  the part of the recipe a step depends on, and its id
    steps.py     a stage of the recipe -> its steps (teacher, pairs, filter, evaluations)
    reuse.py     cached, to resume or to run, and why
    estimate.py  steps, tokens, memory and disk, where they can be had
    asking.py    what a stage that asks models will ask at most
    memory.py    GPU memory of a trainer and an engine by part, from sizes alone
    compute.py   operations and GPU-hours, at a stated share of a GPU's peak
    hardware.py  what each step asks of GPUs and hosts, whether the recipe's hardware has it, and what would
    propose.py   a recipe like a shipped one, laid out for the GPUs at hand

Reads the recipe, small files and remembered digests; writes nothing; imports no torch, ray, vllm, transformers, sympy
or docker.
"""

from posttrain.plan.estimate import Estimate, estimate
from posttrain.plan.hardware import Needs, Verdict, look
from posttrain.plan.prepare import plan_ahead, prepare, previous_steps
from posttrain.plan.reuse import StepStatus, plan_status
from posttrain.plan.steps import Plan, build_plan, recorded_steps

__all__ = [
    "Estimate",
    "Needs",
    "Plan",
    "StepStatus",
    "Verdict",
    "build_plan",
    "estimate",
    "look",
    "plan_ahead",
    "plan_status",
    "prepare",
    "previous_steps",
    "recorded_steps",
]
