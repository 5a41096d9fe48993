"""Are base and teachers fit for the recipe, and for each other? Checked in a worker before the first stage spends
time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from posttrain.data.source import Rows, load_conversations, load_prompts, set_aside
from posttrain.data.spans import TurnCounts, Untrained
from posttrain.data.survey import SAMPLE_ROWS, first_rows
from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError, DataError
from posttrain.recipe.files import check_model_folder
from posttrain.recipe.phases import longest_row
from posttrain.recipe.schema import Chat, Data, Sft
from posttrain.sampling.prompts import encode_rows
from posttrain.types import Conversation

SAMPLE = 256


def check_base(model: Path, chat: Chat, recipe_dir: Path) -> str:
    """One line on how the template asks for an answer and ends it.

    Raises CheckpointError: torn weights, no tokenizer or template, think tags lost by the template, an answer without a
    stop token, or one that stands behind another text than sampling shows. A template that opens the reasoning in its
    prompt and drops it from whole conversations (R1 distills) serves to sample and not to imitate: it is said.
    """
    check_model_folder(model, str(model), has_template=chat.template is not None)
    template = ChatTemplate.load(model, chat, recipe_dir)
    answer = f"{chat.think[0]}one{chat.think[1]}two"
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]
    try:
        prompt, text = template.prompt_text(turns[:1]), template.render(turns, ask=False)
        opened = template.opened(prompt)
        said = text[len(prompt) - len(opened) :] if text.startswith(prompt) else text
        if opened and "one" not in said:
            return (
                f"{_opens(opened)}, drops it from whole conversations: for rollouts only, reasoning to imitate is lost"
            )
        if chat.think[0] not in said or chat.think[1] not in said:
            raise CheckpointError(
                f"the chat template drops {chat.think[0]} from the last answer: it renders {said!r}",
                where="chat.template",
                remedy="use a template that keeps reasoning",
            )
        ids = template.encode(said)
        if not any(token in template.stop_ids for token in ids):
            raise CheckpointError(
                f"an answer ends in {template.decode(ids[-1:])!r}, which is no stop token of the recipe",
                where="chat.stop",
                remedy="set chat.stop to the template's end of turn",
            )
        encoded = template.encode_conversation(turns)
    except DataError as error:
        raise CheckpointError(error.what, where="chat.template", remedy=error.remedy) from error
    if encoded.other_context:
        raise CheckpointError(
            f"an answer with reasoning stands behind another text than its prompt {prompt!r}: the conversation is "
            f"rendered {text!r}",
            where="chat.template",
            remedy="use a template whose prompt leaves the reasoning to the answer",
        )
    ends = f"keeps {chat.think[0]}, ends in a stop token"
    return f"renders, {_opens(opened)}, {ends}" if opened else f"renders, {ends}"


def _opens(opened: str) -> str:
    return f"opens {opened.strip()} in the prompt (answers are judged with it)"


def check_rows(
    model: Path,
    chat: Chat,
    recipe_dir: Path,
    data: Mapping[str, Data],
    stage: Sft,
    *,
    sample: int = SAMPLE,
    most: int | None = SAMPLE_ROWS,
) -> str:
    """One line on how the first rows of an sft stage's data fit its max_tokens and pack, and which of the assistant's
    turns are trained. Raises DataError where no row at all fits, or too many turns give no loss.

    data: those sets of the stage that are here already; most: rows that are read of each, unless none of them fits.
    Example: "64 of 64 rows of 'cot' fit in 32768 tokens, longest
    21,003; 64 of 64 turns of the assistant trained"
    """
    template = ChatTemplate.load(model, chat, recipe_dir)
    words = []
    for name, spec in data.items():
        rows = first_rows(load_conversations, name, spec, recipe_dir, most)
        lengths, turns = _lengths(template, rows, spec, sample)
        longest = longest_row(stage, name)
        fitting = [length for length in lengths if length <= longest]
        if not fitting or turns.untrained_share > chat.max_untrained_share:  # it may be sorted
            rows = load_conversations(name, spec, recipe_dir)
            lengths, turns = _lengths(template, rows, spec, len(rows.items))
            fitting = [length for length in lengths if length <= longest]
        turns.check_share(chat.max_untrained_share, name)
        if not fitting:
            raise DataError(
                (f"no row of data '{name}' fits in max_tokens {longest}; the shortest has {min(lengths):,} tokens"),
                where=f"stages.{stage.name}.max_tokens",
                remedy="raise max_tokens, or give shorter rows",
            )
        packed = f", {longest * len(fitting) / sum(fitting):.1f} a packed sequence" if stage.packing else ""
        words.append(
            f"{len(fitting)} of {len(lengths)} rows of '{name}' fit in {longest} tokens, longest "
            f"{max(lengths):,}{packed}; {turns.in_words()}"
        )
    return "; ".join(words)


def check_prompts(
    model: Path,
    chat: Chat,
    recipe_dir: Path,
    data: Mapping[str, Data],
    context_tokens: int,
    *,
    most: int | None = SAMPLE_ROWS,
) -> str:
    """The first prompts of each data set (most; None: all), as they will be asked. Raises DataError at the first that
    cannot be, or above the stated share of such rows.

    Example: "400 prompts fit in a context of 512 tokens"
    """
    template = ChatTemplate.load(model, chat, recipe_dir)
    fitting = 0
    for name, spec in data.items():
        rows = first_rows(load_prompts, name, spec, recipe_dir, most)
        fitting += len(encode_rows(rows, spec, template, context_tokens)[0])
    return f"{fitting:,} prompts fit in a context of {context_tokens:,} tokens"


def _lengths(template: ChatTemplate, rows: Rows[Conversation], spec: Data, sample: int) -> tuple[list[int], TurnCounts]:
    """Tokens of the first rows, those aside that the template refuses, and what becomes of their turns. Raises
    DataError where the stage would surely stop at one."""
    found: list[int] = []
    turns: list[tuple[int, tuple[Untrained, ...], int]] = []
    reasons: list[str | None] = []
    for row in rows.items[:sample]:
        try:
            encoded = template.encode_conversation(row.messages, row.tools)
            found.append(len(encoded.ids))
            turns.append((encoded.trained_turns, encoded.untrained, encoded.other_context))
            reasons.append(None)
        except DataError as error:
            reasons.append(f"{error.what}: {error.remedy}" if error.remedy else error.what)
    if all(reasons) or not getattr(
        spec, "max_faulty_share", 0.0
    ):  # a share cannot be told from a sample: the stage counts all rows
        set_aside(Rows(name=rows.name, items=rows.items[:sample], numbers=rows.numbers[:sample]), spec, reasons)
    return found, TurnCounts.of(turns)


def check_tokenizers(student: Path, teachers: Mapping[str, Path]) -> None:
    """A teacher's token distributions mean something to the student only over the same ids. Raises CheckpointError."""
    for teacher in teachers.values():
        compare_tokenizers(student, teacher)


def compare_tokenizers(student: Path, teacher: Path) -> str:
    """One line when two vocabularies are equal. Raises CheckpointError with the first ids that differ."""
    from transformers import AutoTokenizer

    try:
        mine, its = (
            AutoTokenizer.from_pretrained(str(folder), local_files_only=True).get_vocab()
            for folder in (student, teacher)
        )
    except (OSError, ValueError) as error:
        where = f"{student}, {teacher}"
        raise CheckpointError(
            f"a tokenizer cannot be read: {error}", where=where, remedy="check tokenizer.json"
        ) from error
    compare_vocabularies(mine, its, str(teacher))
    return f"same {len(mine):,} ids as the student's"


def compare_vocabularies(student: Mapping[str, int], teacher: Mapping[str, int], where: str) -> None:
    """token -> id of both. Raises CheckpointError with the first ids that differ. Padded embeddings are no
    difference."""
    by_id = [{number: token for token, number in vocabulary.items()} for vocabulary in (student, teacher)]
    differing = [
        number for number in sorted(by_id[0].keys() | by_id[1].keys()) if by_id[0].get(number) != by_id[1].get(number)
    ]
    if differing:
        shown = ", ".join(f"{number}: {by_id[0].get(number)!r} / {by_id[1].get(number)!r}" for number in differing[:3])
        what = f"{len(differing):,} ids differ from the student's; the first (student / teacher): {shown}"
        raise CheckpointError(what, where=where, remedy="distil from a teacher of the same tokenizer")
