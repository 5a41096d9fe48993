"""Keys of the stages that make rows of rows: verify, prefer, refine, reconstruct, tests, clean and mix."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from posttrain.recipe.schema_base import Name, Positive, Share, Strict, Weight
from posttrain.recipe.schema_models import ToyModel
from posttrain.recipe.schema_training import Stage


class AskedModel(Strict):
    """A model that a data stage asks: a checkpoint of this run (`stage`), one made elsewhere (`path`), or a server that
    speaks the OpenAI protocol (`endpoint` and `model`)."""

    stage: Name | None = Field(None, description="Earlier stage whose checkpoint is asked, or base.")
    path: str | None = Field(None, description="Local folder, hub id (owner/name), or toy.")
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="40 hex digits; required for a hub id.")
    toy: ToyModel | None = Field(None, description="Shape of the toy; only with path: toy.")
    endpoint: str | None = Field(None, description="Address of a server up to /v1.")
    model: str | None = Field(None, description="Name that the server knows it by.")
    version: str | None = Field(
        None, description="What the server's model is, as part of the step's id; null: its address stands for it."
    )
    api_key_env: str | None = Field(None, description="Name of the environment variable that holds the key.")
    timeout_seconds: float = Field(600.0, gt=0, description="For one whole request to a server.")
    retries: int = Field(6, ge=0, description="Tries of a request after the first, with growing pauses.")
    parallel: Positive = Field(16, description="Requests at once to a server.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Fields added to each request to a server.")
    structured: bool = Field(
        False, description="The server enforces JSON by schema (response_format); otherwise replies are asked in tags."
    )
    temperature: float | None = Field(
        None, ge=0, description="Sampling temperature; null: 1 where it writes what is chosen from, else 0."
    )
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus.")
    max_tokens: Positive = Field(4096, description="Longest reply, tokens.")
    prompt_price: float = Field(0.0, ge=0, description="Of a million prompt tokens, in any currency.")
    completion_price: float = Field(0.0, ge=0, description="Of a million tokens of replies, in the same currency.")
    terms: str | None = Field(None, description="Licence or terms of its replies, for the data card.")


class Budget(Strict):
    """What a data stage may use up, over all its tries. Not part of the step's id: raise it, and the stage goes on."""

    tokens: int | None = Field(None, ge=1, description="Tokens of prompts and replies of servers; null: no bound.")
    cost: float | None = Field(None, gt=0, description="Money, in the currency of the prices; null: no bound.")


class DataStage(Stage):
    """Keys of a stage that makes rows of rows. It starts from no checkpoint, so that `from` stays null."""

    kind: str


class RowStage(DataStage):
    """Keys of a data stage that takes the rows of one data set one by one."""

    data: Name = Field(description="Data set whose rows it reads.")


class AskingStage(RowStage):
    """Keys of a data stage that asks models."""

    models: dict[Name, AskedModel] = Field(min_length=1, description="The models by their roles.")
    prompts: dict[Name, str] = Field(
        default_factory=dict, description="Jinja files beside the recipe in place of the shipped ones, by their names."
    )
    verifier: Name | None = Field(None, description="Verifier that judges by rules; null: none.")
    budget: Budget = Field(default_factory=Budget)
    max_fault_share: Share = Field(
        0.0,
        description=(
            "Share of rows that may be set aside because a model gave no reply; above it the stage stops, and the same "
            "command asks those rows again."
        ),
    )


class Verify(AskingStage):
    kind: Literal["verify"]
    models: dict[Name, AskedModel] = Field(
        default_factory=dict, description="judge, and one of each name in generators; a judge or a verifier is needed."
    )
    generators: list[Name] = Field(default_factory=list, description="Models that write candidates.")
    samples: Positive = Field(4, description="Candidates a row of each generator, beside those that the row has.")
    audit_share: Share = Field(
        0.1, description="Share of what the rules reject that the judge is shown too, to see how often they agree."
    )
    pairwise: int = Field(
        0, ge=0, le=16, description="Right candidates, best first, that the judge also compares in pairs; 0: none."
    )
    keep: Positive = Field(1, description="Right candidates of a row that are kept, best first.")


class Prefer(AskingStage):
    """Pairs of a better and a worse answer to a row, for a reward model."""

    kind: Literal["prefer"]
    models: dict[Name, AskedModel] = Field(
        default_factory=dict, description="judge, and one of each name in generators; a judge or a verifier is needed."
    )
    generators: list[Name] = Field(
        default_factory=list, description="Models that write the answers, such as the policy; empty: those of the row."
    )
    samples: Positive = Field(4, description="Answers a row of each generator.")
    margin: float = Field(
        0.1,
        gt=0,
        description=(
            "By how much the better answer of a pair is better, at least: in scores of the verifier, or in tenths of "
            "the judge's 0 to 10."
        ),
    )
    pairwise: int = Field(
        4, ge=2, le=16, description="Answers of a row that the judge compares, each with each, in both orders."
    )
    pairs_per_prompt: Positive = Field(1, description="Most pairs made of a row's answers, the clearest first.")


class Refine(AskingStage):
    kind: Literal["refine"]
    generators: list[Name] = Field(min_length=1, description="Models that write drafts.")
    samples: Positive = Field(1, description="Drafts a row of each generator, beside the answer that the row has.")
    checklist_items: Positive = Field(8, description="Most items of a row's checklist.")
    revise_checklist: bool = Field(True, description="The checklist is looked at once more beside the drafts.")
    rounds: int = Field(2, ge=0, le=16, description="Most revisions of a row.")
    code_verifier: Name | None = Field(
        None, description="Verifier of kind code, whose judge runs the code blocks of drafts; null: none are run."
    )
    min_score: Share = Field(0.5, description="Score of a row's best draft below which the row is set aside.")


class Reconstruct(AskingStage):
    kind: Literal["reconstruct"]
    samples: Positive = Field(3, description="Chains that are tried for a row, one after the other.")
    min_words: Positive = Field(20, description="Shortest chain.")
    max_words: Positive = Field(8000, description="Longest chain.")


class WriteTests(AskingStage):
    """Of a problem its tests; of a seed, in reverse, a solution and tests before the problem."""

    kind: Literal["tests"]
    verifier: Name = Field(description="Verifier of kind code that the rows are for; it judges the kept solution.")
    reverse: bool = Field(
        False, description="Rows are seeds: `author` writes a solution and its inputs, then the problem's text."
    )
    solutions: int = Field(3, ge=0, description="Reference solutions that `solver` writes, beside the row's answers.")
    agree: Positive = Field(
        2, description="Reference solutions that must agree on an input; one of the row's is enough."
    )
    inputs: Positive = Field(12, description="Most inputs of each kind: small, regular, adversarial.")
    max_input_bytes: Positive = Field(200_000, description="Largest input.")
    min_tests: Positive = Field(5, description="Tests below which a row is set aside.")
    public_tests: int = Field(3, ge=0, description="Small tests that may be shown; the others are hidden.")
    mutants: Positive = Field(20, description="Wrong versions of the reference solution, at most.")
    reruns: int = Field(3, ge=2, description="Runs of the reference solution, to find flaky tests.")
    least_caught: Share = Field(
        0.8, description="Share of mutants, and of the row's wrong_solutions, that its tests must fail."
    )
    limits: dict[str, float] = Field(
        default_factory=dict, description="Of a test, written into each gold, where the row states none."
    )


# fmt: off
CleanRule = Literal[
    "contamination", "numbers_changed", "secret", "personal_data", "refusal", "self_naming", "length", "language",
    "repetition", "exact_duplicate", "near_duplicate",
]
# fmt: on


class Clean(RowStage):
    kind: Literal["clean"]
    against: list[Name] = Field(
        default_factory=list, description="Data sets of suites that must not stand in the rows; empty: of all suites."
    )
    languages: list[str] = Field(default_factory=list, description="Languages that may stand; empty: all.")
    min_words: int = Field(1, ge=0, description="Shortest row, words.")
    max_words: int | None = Field(None, ge=1, description="Longest row, words; null: no bound.")
    max_repetition: Share = Field(0.5, description="Share of an answer's runs of 8 words that came before in it.")
    near: float = Field(0.7, ge=0.5, le=1, description="Share of words (Jaccard) of a near duplicate.")
    skip: list[CleanRule] = Field(default_factory=list, description="Rules that are left out.")
    remove_numbers_changed: bool = Field(False, description="Also remove a suite's question with other numbers.")


class MixPhase(Strict):
    """A part of the rows that a mix stage publishes. What is null is as the stage has it."""

    share: Share = Field(gt=0, description="Share of the rows; those of all phases add up to 1.")
    data: dict[Name, Weight] | None = Field(None, min_length=1, description="Data set to weight, in this phase.")
    domains: dict[str, Weight] | None = Field(None, min_length=1, description="Domain to weight, in this phase.")
    quality: tuple[Share, Share] = Field(
        (0.0, 1.0), description="Of each data set the rows in this band of its scores: (0.8, 1) is the best fifth."
    )


class Mix(DataStage):
    """Rows of several data sets, by share, as the phases of a curriculum."""

    kind: Literal["mix"]
    data: dict[Name, Weight] = Field(default_factory=dict, description="Data set to weight, where a phase has none.")
    rows: Positive = Field(description="Rows published, over all phases.")
    phases: dict[Name, MixPhase] = Field(min_length=1, description="The phases by their names, in order.")
    score: str | None = Field(None, description="Number in a row's metadata by which its quality is told.")
    domain: str | None = Field(None, description="Text in a row's metadata that says its domain.")
    domains: dict[str, Weight] = Field(
        default_factory=dict, description="Domain to weight, within each data set; rows of others are left out."
    )
    max_repeats: Positive = Field(4, description="Times that a row may stand in a phase.")
