"""The model card: README.md of an exported model, with the metadata that the Hugging Face hub reads.

Made from the facts it is given and nothing else, so the same facts give the same bytes: no clock, no machine, no
network. Knows nothing of recipes or run folders; the export stage gathers the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.evaluate.table import percent
from posttrain.report.text import escape
from posttrain.store.atomic import write_bytes

KIND_WORDS = {
    "sft": "supervised fine-tuning",
    "dpd": "dual-level preference distillation from the teacher",
    "grpo": "reinforcement learning (GRPO) with a verifier",
    "reward_model": "pairwise reward model, a judge for later stages; it is no ancestor of these weights",
}
TAGS = ("posttrain", "reasoning")


def write_card(model_dir: Path, facts: Mapping[str, Any]) -> None:
    """Write `model_dir`/README.md, replaced whole.

    facts, all optional but `name` and `base`:
      name, base, base_revision         the recipe, and the checkpoint it started from ("toy", a hub id or a folder)
      base_license, teacher_licenses    SPDX names, {teacher: name}; without one the card says that it is not stated
      teachers                          [path or hub id]
      seed, checkpoint                  the recipe's seed; id of the exported checkpoint
      stages                            [{"name", "kind"}], in run order
      data                              [{"name", "source", "license", "title", "provenance", "rows"}]
      exported                          name of the stage whose checkpoint this is: its scores are the model's, others
                                        are shown as the way
      evaluations                       [{"checkpoint", "suite", "k", "n", "avg_at_k", "ci95", "pass_at_k", ...}],
                                        fractions 0 to 1
      sampling                          {"k", "temperature", "top_p"} of the evaluations
      chat                              {"think": [open, close], "stop": [tokens]}
      held_out_overlap                  {suite: problems that stand in the training data}
      versions                          {library: version}
    """
    content = f"---\n{_metadata(facts)}\n---\n\n{_body(facts)}"
    write_bytes(model_dir / "README.md", content.encode("utf-8", "backslashreplace"), point="card")


# ---------------------------------------------------------------- metadata


def _metadata(facts: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # of the [cpu] and [gpu] installs only, as is export itself

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=score["suite"],
            dataset_name=f"{score['suite']} (held out, {score['n']} problems)",
            metric_type=f"avg@{score['k']}",
            metric_name=f"avg@{score['k']}, 95 % interval {_interval(score)}",
            metric_value=round(100 * score["avg_at_k"], 2),
        )
        for score in _own(facts)
    ]
    base = str(facts["base"])
    data = ModelCardData(
        language="en",
        license=_license(facts),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=list(TAGS),
        base_model=base if _is_hub_id(facts) else None,
        datasets=sorted(row["name"] for row in facts.get("data") or ()) or None,
        model_name=str(facts["name"]),
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _own(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Scores of the exported checkpoint; those of base, teachers and earlier stages are not the model's."""
    exported = facts.get("exported")
    return [score for score in facts.get("evaluations") or () if exported in (None, score["checkpoint"])]


def _is_hub_id(facts: Mapping[str, Any]) -> bool:
    """A hub id is pinned by a revision; anything else is a folder of this machine, whose path says nothing to
    others."""
    return bool(facts.get("base_revision"))


def _license(facts: Mapping[str, Any]) -> str:
    """One licence when base, teachers and data all state the same, else "other": the card then lists each."""
    stated = {str(name).lower() if name else "" for _, name in _licenses(facts)}
    return stated.pop() if len(stated) == 1 and "" not in stated else "other"


def _licenses(facts: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """(what, licence or None) of everything whose terms the weights may carry."""
    own = "apache-2.0"  # a toy is made by this package from a seed, under this package's licence
    base = facts.get("base_license") or (own if facts["base"] == "toy" else None)
    rows: list[tuple[str, str | None]] = [(f"base: {_model_words(facts['base'], facts.get('base_revision'))}", base)]
    teacher_licenses = facts.get("teacher_licenses") or {}
    for teacher in facts.get("teachers") or ():
        rows.append(
            (
                f"teacher: {_model_words(teacher, None)}",
                teacher_licenses.get(teacher) or (own if teacher == "toy" else None),
            )
        )
    return rows + [
        (f"data: {row['name']} ({row.get('title') or row['name']})", row.get("license"))
        for row in facts.get("data") or ()
    ]


def _model_words(path: object, revision: object) -> str:
    """A hub id with its revision; of a local folder only the last name."""
    text = str(path)
    if text == "toy":
        return "a toy checkpoint made from a seed"
    if revision:
        return f"{text} at revision {revision}"
    return text if text.count("/") == 1 and not text.startswith((".", "/", "~")) else f"local folder {Path(text).name}"


# ---------------------------------------------------------------- body


def _body(facts: Mapping[str, Any]) -> str:
    base = _line(_model_words(facts["base"], facts.get("base_revision")))
    sections = (
        f"# {_line(facts['name'])}\n\nA Thinking model made with posttrain from {base}: it reasons between "
        f"{_tags(facts)} before it answers.",
        _scores(facts),
        _loading(facts),
        _making(facts),
        _terms(facts),
        _limits(facts),
    )
    return "\n\n".join(section for section in sections if section).rstrip() + "\n"


def _line(value: object) -> str:
    """One line of text that cannot open markup, a table cell or a new paragraph."""
    return escape(" ".join(str(value).split())).replace("|", "\\|").replace("`", "'")


def _tags(facts: Mapping[str, Any]) -> str:
    think = (facts.get("chat") or {}).get("think") or ("<think>", "</think>")
    return f"`{str(think[0]).replace('`', '')}` and `{str(think[1]).replace('`', '')}`"


def _scores(facts: Mapping[str, Any]) -> str:
    scores = _own(facts)
    if not scores:
        return "## Results\n\nThis checkpoint was not evaluated."
    rows = [
        f"| {_line(score['suite'])} | avg@{score['k']} | **{percent(score['avg_at_k'])}** | {_interval(score)} "
        f"| {percent(score.get('pass_at_k'))} | {percent(score.get('format_valid'))} | {score['n']} |"
        for score in scores
    ]
    sampling = facts.get("sampling") or {}
    how = (
        f" Sampled at temperature {sampling['temperature']}, top-p {sampling['top_p']}."
        if {"temperature", "top_p"} <= sampling.keys()
        else ""
    )
    faults = sum(score.get("faults") or 0 for score in scores)
    left_out = f" {faults} samples could not be judged and are left out." if faults else ""
    return (
        "## Results\n\n| suite | measure | score, % | 95 % interval | pass@k, % | valid format, % | problems |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        + "\n".join(rows)
        + "\n\navg@k is the mean over problems of the share of k answers "
        f"that are right; its interval comes from a bootstrap over problems.{how}{left_out}" + _way(facts, scores)
    )


def _way(facts: Mapping[str, Any], own: Sequence[Mapping[str, Any]]) -> str:
    """Scores of the base, the teachers and the stages before, in the order given; empty where there are none."""
    others = [score for score in facts.get("evaluations") or () if score not in own]
    if not others:
        return ""
    rows = [
        (
            f"| {_line(score['checkpoint'])} | {_line(score['suite'])} | {percent(score['avg_at_k'])} | "
            f"{_interval(score)} |"
        )
        for score in others
    ]
    head = "| checkpoint | suite | score, % | 95 % interval |\n| --- | --- | ---: | ---: |\n"
    return "\n\nOther checkpoints, same problems and seeds:\n\n" + head + "\n".join(rows)


def _interval(score: Mapping[str, Any]) -> str:
    low, high = score["ci95"]
    return f"[{percent(low)}, {percent(high)}]"


def _loading(facts: Mapping[str, Any]) -> str:
    stops = [str(token) for token in (facts.get("chat") or {}).get("stop") or ()]
    turn = (
        f" A turn ends with {', '.join(f'`{_code(token)}`' for token in stops)}; `generation_config.json` says so too."
        if stops
        else ""
    )
    return f"""## How to load it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "path/to/this/folder"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
messages = [{{"role": "user", "content": "What is 17 + 25?"}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**prompt, max_new_tokens=256)
print(tokenizer.decode(answer[0][prompt["input_ids"].shape[1]:]))
```

With vLLM: `vllm serve path/to/this/folder`.{turn}"""


def _code(text: str) -> str:
    return text.replace("`", "").replace("\n", " ")


def _making(facts: Mapping[str, Any]) -> str:
    lines = [f"Recipe `{_line(facts['name'])}`, seed {facts.get('seed', 'not stated')}."]
    stages = [
        f"{index}. {_line(stage['name'])}: {KIND_WORDS.get(stage['kind'], _line(stage['kind']))}"
        for index, stage in enumerate(facts.get("stages") or (), 1)
    ]
    if facts.get("checkpoint"):
        stages += ["", f"Exported checkpoint: `{_line(facts['checkpoint'])}`."]
    versions = facts.get("versions") or {}
    if versions:
        stages += [
            "",
            "Made with " + ", ".join(f"{_line(name)} {_line(versions[name])}" for name in sorted(versions)) + ".",
        ]
    return "## How it was made\n\n" + "\n".join([*lines, "", *stages]).rstrip()


def _terms(facts: Mapping[str, Any]) -> str:
    rows = [
        f"| {_line(what)} | {_line(name) if name else 'not stated: ask before you pass it on'} |"
        for what, name in _licenses(facts)
    ]
    provenance = [
        f"- {_line(row['name'])}: {_line(row['provenance'])}"
        for row in facts.get("data") or ()
        if row.get("provenance")
    ]
    origin = "\n\nWhere the data comes from:\n\n" + "\n".join(provenance) if provenance else ""
    overlap = facts.get("held_out_overlap") or {}
    counts = ", ".join(f"{_line(suite)} {overlap[suite]}" for suite in sorted(overlap))
    found = f"\n\nHeld-out problems that also stand in the training data (exact match): {counts}." if counts else ""
    return "## Licences carried over\n\n| what | licence |\n| --- | --- |\n" + "\n".join(rows) + origin + found


def _limits(facts: Mapping[str, Any]) -> str:
    toy = (
        (
            "This is a toy: it exists to show and test a pipeline on problems made by a program, and is of no use for "
            "anything else.\n\n"
        )
        if facts["base"] == "toy"
        else ""
    )
    return (
        f"## Intended use and limits\n\n{toy}For questions like those of the suites above. Answers can be wrong, "
        "and the reasoning shown "
        "need not be the cause of the answer. Training rewarded what verifiers accept; nothing was done here for "
        "safety, and nothing was "
        "measured beyond the table. Code that it writes belongs in a sandbox."
    )
