"""Which rule a worker builds for which kind: one visible dict. Knows nothing of deadlines, pools or policies.

A rule's module is imported when its kind is built: a worker that judges by `length` loads no mathematics.
"""

from __future__ import annotations

from rewards.contract.names import load_name
from rewards.contract.rule import Rule, RuleSpec

RULES = {
    "math": "rewards.math.rule:MathRule",
    "choice": "rewards.rules.choice:ChoiceRule",
    "format": "rewards.rules.format:FormatRule",
    "length": "rewards.rules.length:LengthRule",
    "repetition": "rewards.rules.repetition:RepetitionRule",
    "language": "rewards.rules.language:LanguageRule",
    "instructions": "rewards.rules.instructions:InstructionsRule",
    "tool_call": "rewards.tools.tool_call:ToolCallRule",
    "exact": "rewards.rules.exact:ExactRule",
}


def build_rule(spec: RuleSpec) -> Rule:
    """The rule of a specification; a kind with a colon is a plug-in. Raises whatever a plug-in's import or constructor
    raises."""
    kind = spec["kind"]
    if ":" in kind:
        from rewards.plugins.plugin import PluginRule

        return PluginRule(kind, spec["options"])
    rule: Rule = load_name(RULES[kind])(spec["options"], (spec["think"][0], spec["think"][1]))
    return rule
