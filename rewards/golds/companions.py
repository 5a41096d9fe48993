"""Columns that stand in the rows of a public data set and are neither question nor gold: reference solutions,
editorials, statistics. A row that was read as that shape leaves them out, which is said; other rows that have such
columns are refused.

Names as those data sets publish them. Knows nothing of values.
"""

from __future__ import annotations

_JUDGED = ("solutions", "solution", "canonical_solution", "difficulty", "url", "name", "task_id", "id", "title")
COMPANIONS: dict[str, tuple[str, ...]] = {
    "APPS": _JUDGED,
    "TACO": (
        *(*_JUDGED, "source", "raw_tags", "tags", "skill_types", "date", "picture_num"),
        *("Expected Auxiliary Space", "Expected Time Complexity"),
    ),
    "prime_code": _JUDGED,
    "verl": ("data_source", "ability", "extra_info", "agent_name", "env_class", "index"),
    "LiveCodeBench": (*_JUDGED, "question_title", "platform", "contest_id", "contest_date"),
    "DeepCoder": _JUDGED,
    "PrimeIntellect": (
        *(*_JUDGED, "task_type", "source", "in_source_id", "gold_standard_solution", "metadata"),
        "hf_dataset_name",
    ),
    "CodeContests": (
        *(*_JUDGED, "incorrect_solutions", "source", "cf_contest_id", "cf_index", "cf_points", "cf_rating", "cf_tags"),
        *("is_description_translated", "untranslated_description", "input_file", "output_file"),
    ),
    "Codeforces": (
        *(*_JUDGED, "aliases", "contest_id", "contest_name", "contest_type", "contest_start", "contest_start_year"),
        *("index", "editorial", "note", "examples", "rating", "tags", "testset_size", "official_tests_complete"),
        *("generated_tests", "executable", "interaction_format"),
    ),
    "HumanEval": _JUDGED,
    "MBPP": (*_JUDGED, "code", "source_file", "challenge_test_list"),
    "AceCode": (*_JUDGED, "source", "inferences", "context_messages"),
    "BigCodeBench": (*_JUDGED, "complete_prompt", "instruct_prompt", "code_prompt", "doc_struct", "libs"),
    "LeetCodeDataset": (
        *(*_JUDGED, "completion", "response", "query", "problem_description", "estimated_date", "input_output"),
        *("tags", "lang_code", "meta"),
    ),
    "KodCode": (
        *(*_JUDGED, "style", "conversations", "metadata", "filter_reason", "benchmark_similarity"),
        *("benchmark_instruction", "benchmark_task_id", "gpt_pass_sequence", "gpt_pass_trial_num", "gpt_difficulty"),
        *("gpt_pass_percentage", "trials", "chosen_trial", "test_info", "r1_solution", "r1_pass_sequence"),
        *("r1_pass_trial_num", "r1_correctness"),
    ),
    "MATH": ("solution", "type", "level", "unique_id", "id"),
    "NuminaMath": (
        *("solution", "messages", "problem_type", "question_type", "synthetic", "problem_is_valid"),
        *("solution_is_valid", "generations", "correctness_count", "is_reasoning_complete", "finish_reasons"),
        *("correctness_math_verify", "correctness_llama", "id"),
    ),
    "Big-Math": ("solution", "llama8b_solve_rate", "source", "domain", "prompt", "id"),
    "Omni-MATH": ("solution", "id"),
    "AIME": (
        *("solution", "Solution", "ID", "Year", "Problem Number", "Part", "year", "problem_idx", "problem_type"),
        "id",
    ),
    "OlympiadBench": (
        *("solution", "id", "subfield", "context", "unit", "error", "answer_type", "is_multiple_answer"),
        *("question_type", "subtopic"),
    ),
    "DeepScaleR": ("solution", "id", "gt_answer"),
    "MMLU": ("subject", "id", "cop", "exp", "subject_name", "topic_name", "choice_type"),
    "MMLU-Pro": ("id", "answer", "answer_index", "answer_idx", "cot_content", "src", "meta_info", "rationale"),
    "GPQA": ("*",),  # some sixty columns on how each question came to be
    "ARC": ("id",),
    "SciQ": ("support", "id"),
    "IFEval": ("key", "id"),
    "IFBench": ("key", "id"),
    "RLVR-IFeval": ("constraint", "constraint_type", "dataset", "key", "id"),
    "BFCL": ("id",),
    "xLAM": ("id",),
    "NeMo-Gym": ("question", "problem", "expected_answer", "id", "uuid", "dataset", "agent_ref", "pass_rate"),
    "open-instruct": ("dataset", "data_source", "constraint", "constraint_type", "key", "id", "solution"),
}
"""Format -> columns that may stand beside its own; "*": any."""
