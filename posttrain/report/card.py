"""The model card: README.md of an exported model, with the metadata that the Hugging Face hub reads.

Made from the facts it is given and nothing else, so the same facts give the same bytes: no clock, no machine, no
network. Knows nothing of recipes or run folders; the export stage gathers the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posttrain.evaluate.table import percent
from posttrain.recipe.cards import DataFacts
from posttrain.records.results import Evaluation
from posttrain.report.text import escape
from posttrain.store.atomic import write_bytes

KIND_WORDS = {
    "clean": "rows taken out that should not be trained on",
    "mix": "rows of several data sets laid into the phases of a curriculum",
    "prefer": "pairs of a better and a worse answer, by rules or a judge",
    "verify": "candidates judged by rules and a model, the best right ones kept",
    "refine": "answers revised by a checklist",
    "reconstruct": "chains of thought written anew to refined answers",
    "tests": "tests written for problems of code, and judged",
    "sft": "supervised fine-tuning",
    "dpd": "dual-level preference distillation from the teacher",
    "grpo": "reinforcement learning (GRPO) with a verifier",
    "reward_model": "pairwise reward model, a judge for later stages; it is no ancestor of these weights",
}
TAGS = ("posttrain", "reasoning")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """A base or a teacher. `path` is "toy", a hub id (then with its revision) or a folder; `license` an SPDX name, or
    None where none is stated. Example: ModelFacts(path="owner/base-3b", revision="3f9a...", license="apache-2.0")"""

    path: str
    revision: str | None = None
    license: str | None = None

    @property
    def stated_license(self) -> str | None:
        """A toy is made by this package from a seed, under this package's licence."""
        return self.license or ("apache-2.0" if self.path == "toy" else None)

    @property
    def words(self) -> str:
        """A hub id with its revision; of a local folder only the last name."""
        if self.path == "toy":
            return "a toy checkpoint made from a seed"
        if self.revision:
            return f"{self.path} at revision {self.revision}"
        is_local = self.path.count("/") != 1 or self.path.startswith((".", "/", "~"))
        return f"local folder {Path(self.path).name}" if is_local else self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """All that a card tells.

    Example: CardFacts(name="demo-cpu", seed=0, base=ModelFacts(path="toy"), teachers=(ModelFacts(path="toy"),),
    stages=(("general", "sft"), ("stem", "grpo")), data=(DataFacts(...),), exported="stem", checkpoint="grpo-3f9a",
    evaluations=(Evaluation(...),), temperature=0.6, top_p=0.95, think=("<think>", "</think>"), stop=("<|im_end|>",),
    held_out_overlap={"stem": 0})
    """

    name: str  # of the recipe
    seed: int  # of the recipe
    base: ModelFacts
    teachers: tuple[ModelFacts, ...]
    stages: tuple[tuple[str, str], ...]  # (name, kind), in run order
    data: tuple[DataFacts, ...]
    exported: str  # the checkpoint whose scores are the model's; others are shown as the way
    checkpoint: str  # its id
    evaluations: tuple[Evaluation, ...]
    temperature: float  # of the evaluations' sampling
    top_p: float
    think: tuple[str, str]
    stop: tuple[str, ...]
    held_out_overlap: Mapping[str, int] = field(default_factory=dict)  # suite -> problems in the training data, too
    asked: tuple[tuple[str, str | None], ...] = ()  # models that data stages asked: (name, terms of their replies)


def write_card(model_dir: Path, facts: CardFacts) -> None:
    """Write `model_dir`/README.md, replaced whole."""
    content = f"---\n{_metadata(facts)}\n---\n\n{_body(facts)}"
    write_bytes(model_dir / "README.md", content.encode("utf-8", "backslashreplace"), point="card")


# ---------------------------------------------------------------- metadata


def _metadata(facts: CardFacts) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # of the [cpu] and [gpu] installs only, as is export itself

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=score.suite,
            dataset_name=f"{score.suite} (held out, {score.n} problems)",
            metric_type=f"avg@{score.k}",
            metric_name=f"avg@{score.k}, 95 % interval {_interval(score)}",
            metric_value=round(100 * score.avg_at_k, 2),
        )
        for score in _own(facts)
    ]
    data = ModelCardData(
        language="en",
        license=_license(facts),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=list(TAGS),
        # A hub id is pinned by a revision; anything else is a folder of this machine: its path tells nobody anything.
        base_model=facts.base.path if facts.base.revision else None,
        datasets=sorted(row.name for row in facts.data) or None,
        model_name=facts.name,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _own(facts: CardFacts) -> list[Evaluation]:
    """Scores of the exported checkpoint; those of base, teachers and earlier stages are not the model's."""
    return [score for score in facts.evaluations if score.checkpoint == facts.exported]


def _license(facts: CardFacts) -> str:
    """One licence when base, teachers and data all state the same, else "other": the card then lists each."""
    stated = {name.lower() if name else "" for _, name in _licenses(facts)}
    return stated.pop() if len(stated) == 1 and "" not in stated else "other"


def _licenses(facts: CardFacts) -> list[tuple[str, str | None]]:
    """(what, licence or None) of everything whose terms the weights may carry."""
    return [
        (f"base: {facts.base.words}", facts.base.stated_license),
        *((f"teacher: {teacher.words}", teacher.stated_license) for teacher in facts.teachers),
        *((f"data: {row.name} ({row.title})", row.license) for row in facts.data),
        *((f"replies of {name}, in the data", terms) for name, terms in facts.asked),
    ]


# ---------------------------------------------------------------- body


def _body(facts: CardFacts) -> str:
    base = _line(facts.base.words)
    sections = (
        f"# {_line(facts.name)}\n\nA Thinking model made with posttrain from {base}: it reasons between "
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


def _tags(facts: CardFacts) -> str:
    return f"`{_code(facts.think[0])}` and `{_code(facts.think[1])}`"


def _scores(facts: CardFacts) -> str:
    scores = _own(facts)
    if not scores:
        return "## Results\n\nThis checkpoint was not evaluated."
    rows = [
        f"| {_line(score.suite)} | avg@{score.k} | **{percent(score.avg_at_k)}** | {_interval(score)} "
        f"| {percent(score.pass_at_k)} | {percent(score.format_valid)} | {score.n} |"
        for score in scores
    ]
    how = f" Sampled at temperature {facts.temperature}, top-p {facts.top_p}."
    faults = sum(score.faults for score in scores)
    left_out = f" {faults} samples could not be judged and are left out." if faults else ""
    return (
        "## Results\n\n| suite | measure | score, % | 95 % interval | pass@k, % | valid format, % | problems |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        + "\n".join(rows)
        + "\n\navg@k is the mean over problems of the share of k answers "
        f"that are right; its interval comes from a bootstrap over problems.{how}{left_out}" + _way(facts, scores)
    )


def _way(facts: CardFacts, own: Sequence[Evaluation]) -> str:
    """Scores of the base, the teachers and the stages before, in the order given; empty where there are none."""
    others = [score for score in facts.evaluations if score not in own]
    if not others:
        return ""
    rows = [
        f"| {_line(score.checkpoint)} | {_line(score.suite)} | {percent(score.avg_at_k)} | {_interval(score)} |"
        for score in others
    ]
    head = "| checkpoint | suite | score, % | 95 % interval |\n| --- | --- | ---: | ---: |\n"
    return "\n\nOther checkpoints, same problems and seeds:\n\n" + head + "\n".join(rows)


def _interval(score: Evaluation) -> str:
    low, high = score.ci95
    return f"[{percent(low)}, {percent(high)}]"


def _loading(facts: CardFacts) -> str:
    stops = ", ".join(f"`{_code(token)}`" for token in facts.stop)
    turn = f" A turn ends with {stops}; `generation_config.json` says so too." if stops else ""
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


def _making(facts: CardFacts) -> str:
    stages = [
        f"{index}. {_line(name)}: {KIND_WORDS.get(kind, _line(kind))}"
        for index, (name, kind) in enumerate(facts.stages, 1)
    ]
    lines = [
        f"Recipe `{_line(facts.name)}`, seed {facts.seed}.",
        "",
        *stages,
        "",
        f"Exported checkpoint: `{_line(facts.checkpoint)}`.",
    ]
    return "## How it was made\n\n" + "\n".join(lines)


def _terms(facts: CardFacts) -> str:
    rows = [
        f"| {_line(what)} | {_line(name) if name else 'not stated: ask before you pass it on'} |"
        for what, name in _licenses(facts)
    ]
    provenance = [f"- {_line(row.name)}: {_line(row.provenance)}" for row in facts.data if row.provenance]
    origin = "\n\nWhere the data comes from:\n\n" + "\n".join(provenance) if provenance else ""
    overlap = facts.held_out_overlap
    counts = ", ".join(f"{_line(suite)} {overlap[suite]}" for suite in sorted(overlap))
    found = f"\n\nHeld-out problems that also stand in the training data (exact match): {counts}." if counts else ""
    return "## Licences carried over\n\n| what | licence |\n| --- | --- |\n" + "\n".join(rows) + origin + found


def _limits(facts: CardFacts) -> str:
    toy = (
        (
            "This is a toy: it exists to show and test a pipeline on problems made by a program, and is of no use for "
            "anything else.\n\n"
        )
        if facts.base.path == "toy"
        else ""
    )
    return (
        f"## Intended use and limits\n\n{toy}For questions like those of the suites above. Answers can be wrong, "
        "and the reasoning shown "
        "need not be the cause of the answer. Training rewarded what verifiers accept; nothing was done here for "
        "safety, and nothing was "
        "measured beyond the table. Code that it writes belongs in a sandbox."
    )
