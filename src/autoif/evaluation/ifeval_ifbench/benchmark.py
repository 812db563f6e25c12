"""IFEval and IFBench: prompts with instructions that code can check, judged by the official checkers.

The prompts are of a file in the benchmarks' own form, or the official data set from the hub. What is scored, strictly
and loosely, is the share of prompts that are followed whole, and that of instructions.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from operator import ne
from pathlib import Path

from pydantic import ConfigDict, JsonValue, field_validator, model_validator

from autoif.errors import ConfigError
from autoif.evaluation.benchmark import AskedPrompt, Benchmark, Given, Judged
from autoif.evaluation.hub import fetch_rows
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, REVISIONS, Revision, Suite, Verdicts
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.evaluation.ifeval_ifbench.fork_server import CHECKER_PACKAGES
from autoif.evaluation.ifeval_ifbench.processes import check_installed, open_checkers
from autoif.evaluation.results import Column, PromptResult
from autoif.reading.jsonl import read_jsonl
from autoif.records import Record, content_id

TITLES: dict[Suite, str] = {"ifeval": "IFEval", "ifbench": "IFBench"}
SIZES: dict[Suite, int] = {"ifeval": 541, "ifbench": 300}
"""Prompts of the whole benchmark."""
_HUB: dict[Suite, str] = {"ifeval": "google/IFEval", "ifbench": "allenai/IFBench_test"}
_VERSIONS = {
    "6d529ffa7df15ffd": "IFEval of November 2023",
    "8ac9012c2527ba04": "IFEval of December 2023",
    "7512c69277eeb392": "IFEval of June 2024",
    "640a77c3fbc66284": "IFBench",
}
"""Official data sets by their content."""


class Question(Record):
    """A prompt with its instructions, as in both benchmarks' files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    prompt: str
    instruction_id_list: tuple[str, ...]
    kwargs: tuple[dict[str, JsonValue], ...]
    """The arguments of each instruction; those of None are left out."""

    @field_validator("key", mode="before")
    @classmethod
    def _write_key(cls, key: object) -> object:
        return str(key) if isinstance(key, int) else key

    @field_validator("kwargs", mode="before")
    @classmethod
    def _drop_nones(cls, kwargs: object) -> object:
        if not isinstance(kwargs, Iterable):
            return kwargs
        return [
            {key: value for key, value in each.items() if value is not None} if isinstance(each, dict) else each
            for each in kwargs
        ]

    @model_validator(mode="after")
    def _check_length(self) -> "Question":
        if not self.instruction_id_list or len(self.instruction_id_list) != len(self.kwargs):
            raise ValueError("instruction_id_list and kwargs must name as many instructions, one or more")
        return self

    @property
    def instructions(self) -> list[tuple[str, dict[str, JsonValue]]]:
        return list(zip(self.instruction_id_list, self.kwargs, strict=True))

    @property
    def id(self) -> str:
        """The same id, the same question and the same checks."""
        arguments: list[JsonValue] = [
            {
                key: int(value) if isinstance(value, float) and value.is_integer() else value
                for key, value in each.items()
            }
            for each in self.kwargs  # some releases of the data have 5.0 where others have 5
        ]
        return content_id("benchmark prompt", self.prompt, list(self.instruction_id_list), arguments)


@dataclass(frozen=True, slots=True)
class Questions:
    """A benchmark, or a part of one."""

    suite: Suite
    rows: tuple[Question, ...]

    @property
    def id(self) -> str:
        """Of the content in any order."""
        return content_id(*sorted(row.id for row in self.rows))

    @property
    def version(self) -> str:
        """Which official data set this is, or that it is none."""
        return _VERSIONS.get(self.id, f"no official {TITLES[self.suite]} data set that is known")


def read_questions(suite: Suite, file: Path | None) -> Questions:
    """Read a benchmark's file, or fetch the official data set where there is no file.

    Raises:
        ConfigError: it is the file of something else, holds a prompt twice, or the data set can't be fetched.
        StoreError: the file can't be read, or a row doesn't fit; the line is named.
    """
    instead = "a file of prompts by --data"
    rows = read_jsonl(file, Question) if file else fetch_rows(_HUB[suite], instead, Question.model_validate)
    source = str(file) if file else _HUB[suite]
    if not rows:
        raise ConfigError(f"{source} has no prompts")
    known = list_instructions()
    for row in rows:
        for name in row.instruction_id_list:
            if name not in known[suite]:
                others = [TITLES[other] for other in known if name in known[other]]
                belongs = f": it is of {others[0]}" if others else ""
                raise ConfigError(f"{source} is no {TITLES[suite]} data: prompt {row.key} asks for {name}{belongs}")
    for what, values in {"prompt": [row.prompt for row in rows], "key": [row.key for row in rows]}.items():
        [(twice, count)] = Counter(values).most_common(1)
        if count > 1:
            raise ConfigError(f"{source} has the {what} {twice[:80]!r} {count} times: each would count {count} times")
    return Questions(suite, tuple(rows))


def list_instructions() -> dict[Suite, frozenset[str]]:
    """Return the instructions of each benchmark."""
    return {"ifeval": _IFEVAL, "ifbench": _IFBENCH}


_VERDICTS = {
    "prompt_strict": "Pr(S)", "prompt_loose": "Pr(L)", "instruction_strict": "In(S)", "instruction_loose": "In(L)",
}  # fmt: skip


def load_benchmark(
    questions: Questions, *, corrected: bool = False, revision: Revision = NEWEST, workers: int | None = None
) -> Benchmark:
    """Return the benchmark, ready to judge; `corrected` scores without the known faults of the checkers, and `revision`
    is that of IFBench's.

    Raises:
        ConfigError: the checkers or their data are not installed.
    """
    check_installed(questions)
    suite, title = questions.suite, TITLES[questions.suite]
    checkers = REVISIONS[revision if suite == "ifbench" else NEWEST]
    rows = {row.id: row for row in questions.rows}

    def judge(given: Given) -> Judged:
        jobs = [(rows[prompt.id], each.text) for prompt, some in given for each in some]
        with open_checkers(questions, len(jobs), workers, revision=revision) as run:
            verdicts = iter(run(jobs))
        found = [(rows[prompt.id], [next(verdicts) for _ in some]) for prompt, some in given]
        return _sum_up(found, corrected, [("checkers", checkers), ("data", questions.version)])

    without = "without the known faults of the checkers, " if corrected else ""
    return Benchmark(
        name=suite,
        title=title,
        place=1 if suite == "ifeval" else 2,
        about=f"{without}Pr is the percentage of prompts that are followed whole, In that of instructions, (S) "
        "strictly, (L) loosely. Intervals draw prompts again.",
        prompts=[AskedPrompt(row.id, row.key, row.prompt) for row in questions.rows],
        size=SIZES[suite],
        data=questions.version,
        data_id=questions.id,
        columns=[
            Column(name=name, heading=title, label=label, paired=name.startswith("prompt"))
            for name, label in _VERDICTS.items()
        ],
        judge=judge,
        settings={**({"checkers": checkers} if suite == "ifbench" else {}), "corrected": corrected},
        versions={name: version(name) for name in CHECKER_PACKAGES},
    )


_JudgedRows = Sequence[tuple[Question, Sequence[Verdicts]]]
_Flags = Callable[[Verdicts], Iterable[bool]]


def _sum_up(
    found: Sequence[tuple[Question, Sequence[Verdicts | str]]], corrected: bool, about: Sequence[tuple[str, str]]
) -> Judged:
    """Return what the checkers found; text in place of a verdict says why a response can't be judged."""
    judged, unjudgeable = [], []
    for row, some in found:
        known = [each for each in some if not isinstance(each, str)]
        if len(known) == len(some):
            judged.append((row, known))
        else:
            unjudgeable.append(f"{row.key}: {next(each for each in some if isinstance(each, str))}")
    return Judged(
        [_make_result(row, some, corrected=corrected) for row, some in judged],
        unscored={"unjudgeable": unjudgeable},
        noted={
            "drawn": [f"{key}: {name}" for key, name in _list_flagged(judged, lambda each: each.drawn)],
            "raised": [f"{key}: {name}" for key, name in _list_flagged(judged, lambda each: each.raised)],
        },
        report=[*about, *_report_faults(judged, corrected)],
        details={"instruction_types": _score_types(judged, corrected), "faults": _count_faults(judged)},
    )


_FAULTY: dict[str, _Flags] = {
    "strict": lambda each: map(ne, each.strict, each.corrected_strict),
    "loose": lambda each: map(ne, each.loose, each.corrected_loose),
}
"""Verdicts that a known fault of a checker decided."""


def _make_result(row: Question, judged: Sequence[Verdicts], *, corrected: bool) -> PromptResult:
    strict = [each.corrected_strict if corrected else each.strict for each in judged]
    loose = [each.corrected_loose if corrected else each.loose for each in judged]
    noted: dict[str, _Flags] = {
        "drawn": lambda each: each.drawn,
        "raised": lambda each: each.raised,
        **{f"faulty_{mode}": flags for mode, flags in _FAULTY.items()},
    }
    named: dict[str, list[list[JsonValue]]] = {
        kind: [[name for _, name in _list_flagged([(row, [each])], flags)] for each in judged]
        for kind, flags in noted.items()
    }
    return PromptResult(
        id=row.id,
        key=row.key,
        cluster=row.id,
        scores={
            "prompt_strict": tuple(100.0 * all(each) for each in strict),
            "prompt_loose": tuple(100.0 * all(each) for each in loose),
            "instruction_strict": tuple(100.0 * each for each in chain(*strict)),
            "instruction_loose": tuple(100.0 * each for each in chain(*loose)),
        },
        details={
            "instructions": [*row.instruction_id_list],
            **{kind: list[JsonValue](some) for kind, some in named.items() if any(some)},
        },
    )


def _list_flagged(judged: _JudgedRows, flags: _Flags) -> list[tuple[str, str]]:
    """Return the key of the prompt and the instruction of each verdict that is flagged."""
    return [
        (row.key, name)
        for row, some in judged
        for each in some
        for name, flag in zip(row.instruction_id_list, flags(each), strict=True)
        if flag
    ]


def _score_types(judged: _JudgedRows, corrected: bool) -> dict[str, JsonValue]:
    """Return the accuracy of each type of instruction in percent, with each response counted."""

    def tally(flags: _Flags) -> Counter[str]:
        return Counter(name for _, name in _list_flagged(judged, flags))

    asked = tally(lambda each: [True] * len(each.strict))
    strict = tally(lambda each: each.corrected_strict if corrected else each.strict)
    loose = tally(lambda each: each.corrected_loose if corrected else each.loose)
    return {
        name: {"instructions": number, "strict": 100 * strict[name] / number, "loose": 100 * loose[name] / number}
        for name, number in sorted(asked.items())
    }


def _count_faults(judged: _JudgedRows) -> dict[str, JsonValue]:
    """Return the known faults of the checkers that were asked, and how many verdicts each decides."""
    asked = {name for row, _ in judged for name in row.instruction_id_list}
    decided = {mode: Counter(name for _, name in _list_flagged(judged, flags)) for mode, flags in _FAULTY.items()}
    return {
        name: {"fault": correction.fault, **{mode: found[name] for mode, found in decided.items()}}
        for name, correction in CORRECTIONS.items()
        if name in asked
    }


def _report_faults(judged: _JudgedRows, corrected: bool) -> list[tuple[str, str]]:
    decided = "would have decided" if corrected else "decided"
    strict, loose = (Counter(name for _, name in _list_flagged(judged, flags)) for flags in _FAULTY.values())
    return [
        ("fault", f"{name}: {correction.fault}; {decided} {strict[name]} strict, {loose[name]} loose verdicts")
        for name, correction in CORRECTIONS.items()
        if strict[name] or loose[name]
    ]


_IFEVAL = frozenset({
    "change_case:capital_word_frequency", "change_case:english_capital", "change_case:english_lowercase",
    "combination:repeat_prompt", "combination:two_responses", "detectable_content:number_placeholders",
    "detectable_content:postscript", "detectable_format:constrained_response", "detectable_format:json_format",
    "detectable_format:multiple_sections", "detectable_format:number_bullet_lists",
    "detectable_format:number_highlighted_sections", "detectable_format:title", "keywords:existence",
    "keywords:forbidden_words", "keywords:frequency", "keywords:letter_frequency", "language:response_language",
    "length_constraints:nth_paragraph_first_word", "length_constraints:number_paragraphs",
    "length_constraints:number_sentences", "length_constraints:number_words", "punctuation:no_comma",
    "startend:end_checker", "startend:quotation",
})  # fmt: skip
_IFBENCH = frozenset({
    "count:conjunctions", "count:keywords_multiple", "count:numbers", "count:person_names", "count:pronouns",
    "count:punctuation", "count:unique_word_count", "count:word_count_range", "count:words_japanese",
    "custom:character_reverse", "custom:csv_city", "custom:csv_quotes", "custom:csv_special_character",
    "custom:date_format_list", "custom:european_capitals_sort", "custom:mcq_count_length", "custom:multiples",
    "custom:reverse_newline", "custom:sentence_alphabet", "custom:word_reverse", "format:emoji", "format:line_indent",
    "format:list", "format:newline", "format:no_bullets_bullets", "format:no_whitespace", "format:options",
    "format:output_template", "format:parentheses", "format:quote_unquote", "format:quotes", "format:sub-bullets",
    "format:thesis", "format:title_case", "ratio:overlap", "ratio:sentence_balance", "ratio:sentence_type",
    "ratio:sentence_words", "ratio:stop_words", "repeat:repeat_change", "repeat:repeat_simple", "repeat:repeat_span",
    "sentence:alliteration_increment", "sentence:increment", "sentence:keyword", "words:alphabet", "words:consonants",
    "words:keywords_specific_position", "words:last_first", "words:no_consecutive", "words:odd_even_syllables",
    "words:palindrome", "words:paragraph_last_first", "words:prime_lengths", "words:repeats", "words:start_verb",
    "words:vowel", "words:words_position",
})  # fmt: skip
