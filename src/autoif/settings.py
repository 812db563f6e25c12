"""The settings of each stage, typed and closed: one class a section of the configuration.

Each default is the paper's number and names its section. `presets/*.toml` hold what differs from it.
"""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from autoif.faults.reasons import FOUND_BEFORE_ANSWERS, FindingReason
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Role
from autoif.records import Record
from autoif.thresholds import ScoreThreshold, ShareThreshold, Threshold

ROLES: tuple[Role, ...] = ("writer", "responder", "judge")


class Models(Record):
    """Who writes, who answers, who judges: one model by default (self-alignment), any of them another by config."""

    writer: Endpoint = Endpoint()
    """Instructions, functions, cases and back-translations."""
    responder: Endpoint = Endpoint()
    judge: Endpoint = Endpoint()
    """Quality scores, and NLI labels where no NLI model is used."""
    slots: int = Field(default=8, ge=1, le=64)
    """Answers that the embedded model writes at the same time."""


class SelfInstruct(Record):
    """§3.2, seeds and rewrites."""

    rewrites_per_seed: int = Field(default=100, ge=0)
    """§4: K = 100 rewrites of each seed."""
    rewrites_per_call: int = Field(default=50, ge=1)
    """Released code: 50 a call."""
    seed_limit: int = Field(default=0, ge=0)
    """Rewrite only so many of the seeds; 0 is all."""
    max_instructions: int = Field(default=0, ge=0)
    """Carry at most so many instructions on, seeds and rewrites in turn; 0 is all."""
    max_chars: int = Field(default=200, ge=20)
    near_duplicate: float = Field(default=90.0, ge=0, le=100)
    """Similarity, 0 to 100, from which two instructions that ask for the same words in the same order are one."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    max_tokens: int = Field(default=2048, ge=16)


class Verification(Record):
    """§3.2, verification functions and cases."""

    functions_per_instruction: int = Field(default=8, ge=1)
    """Released samples: K = 8."""
    cases_per_function: int = Field(default=3, ge=1, le=20)
    """§3.2: three cases with each function."""
    temperature: float = Field(default=0.8, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=32)
    vocabulary: bool = False
    """Tell the writer of the helpers that functions may call (docs/vocabulary.md); a source carries those it calls."""
    analysis: Literal["none", "field", "text"] = "none"
    """Have the writer think before it writes code: in a field of the JSON object, or in text before the object."""
    max_analysis_chars: int = Field(default=0, ge=0)
    """The longest analysis in a field, where the server can hold a model to it; 0 is any."""
    repairs: int = Field(default=0, ge=0, le=2)
    """How often a function that doesn't load, raises or stands alone is put back to the writer with what is wrong; 0:
    never."""
    case_repairs: int = Field(default=0, ge=0, le=2)
    """How often the writer is asked again about a case that most functions contradict; 0: never."""
    max_functions: int = Field(default=0, ge=0)
    """Ask on, up to so many functions, until most of them behave alike, or one has the score that is asked for
    (`cross_validation.choose_by`); 0: K is fixed."""
    functions_step: int = Field(default=2, ge=1)
    """How many more functions to ask for at a time."""
    settled: Threshold = ">= 0.75"
    """Share of the answers whose functions must behave alike for behaviour to be settled."""
    settled_functions: int = Field(default=2, ge=2)
    """The least number of answers that these must be."""
    judge_samples: int = Field(default=0, ge=0)
    """Answers asked of the judge about each text on which functions split; 0: it is not asked."""
    judged_texts: int = Field(default=3, ge=1)
    """The most texts of an instruction that the judge is asked about."""

    @property
    def settles(self) -> bool:
        """Whether anything is done with the functions between writing and cross-validation."""
        return bool(self.repairs or self.case_repairs or self.max_functions or self.judge_samples)

    @model_validator(mode="after")
    def _check_functions(self) -> "Verification":
        if 0 < self.max_functions < self.functions_per_instruction:
            raise ValueError(
                f"max_functions ({self.max_functions}) is below functions_per_instruction "
                f"({self.functions_per_instruction}), which is how many are asked for first"
            )
        return self


class CrossValidation(Record):
    """§3.2, functions against cases."""

    case_agreement: ShareThreshold = "> 0.5"
    """Share of the functions that must agree with a case for it to be kept."""
    function_agreement: ShareThreshold = "> 0.5"
    """Share of the kept cases that a function must agree with to be kept."""
    min_functions: int = Field(default=1, ge=1)
    """Functions that must load before any filtering."""
    min_cases: int = Field(default=1, ge=1)
    """Cases there must be before any filtering."""
    both_outcomes: bool = False
    """The kept cases must hold a text that obeys and one that doesn't: functions that always say no agree, too."""
    two_sided: bool = False
    """A function must accept a text and refuse one among cases and probes (autoif.probes) to count at all; with
    contrast, which always asks for it, answers count as well. Unlike `both_outcomes`, this drops no right function for
    its writer's cases."""
    choose_by: Literal["cases", "majority", "score"] = "cases"
    """What decides which functions are kept: the writer's cases, as in the paper; or, whatever these expect, what most
    of its answers mean; or this together with how likely each function is right (docs/audit.md)."""
    majority: Threshold = ">= 0.6"
    """Share of the answers whose functions must behave alike, unless cases choose; by score, of those answers whose
    functions may be kept."""
    sure_score: Threshold = ">= 0.8"
    """The score that does instead of a majority, with `choose_by = "score"`."""
    findings: tuple[FindingReason, ...] = ()
    """What of an audit's findings drops a function before any is chosen, as ["vacuous", "dead", "raises", "too_slow",
    "threshold", "asked_text"] (docs/audit.md); () drops none."""
    min_score: float = Field(default=0.0, ge=0, lt=1)
    """Least score of a function, told without gold from what it does (docs/audit.md); 0 asks for none."""

    @property
    def looks_at_functions(self) -> bool:
        """Whether it counts what functions do, beside what cases and votes say of them."""
        return bool(self.findings or self.min_score) or self.choose_by == "score"

    @field_validator("findings")
    @classmethod
    def _check_findings(cls, findings: tuple[FindingReason, ...]) -> tuple[FindingReason, ...]:
        """Refuse what nothing shows yet when functions are cross-validated."""
        if late := [each.value for each in findings if each not in FOUND_BEFORE_ANSWERS]:
            there = ", ".join(each.value for each in FOUND_BEFORE_ANSWERS)
            raise ValueError(f"{late[0]} is not found before there are answers: choose among {there}")
        return findings


class ContrastSettings(Record):
    """Beyond §3.2: functions are chosen by what they say of answers, with their instruction and without it."""

    enabled: bool = False
    """Choose by lift, the share of answers to its own instruction that a function accepts less the share of answers to
    the same queries alone; the cases advise. Off, cases decide, as in the paper."""
    queries: int = Field(default=8, ge=1)
    """Queries answered with the instruction and without it: the first of those that it is joined with later."""
    responses_per_query: int = Field(default=1, ge=1)
    """Answers of each kind to each of these queries."""
    role: Role = "responder"
    """Who answers: the responder, whose answers are the first of rejection sampling and cost nothing there, or another
    role with a stronger model."""
    answers: str | None = None
    """A file of {"instruction", "response"}: answers of better models, taken in place of those to be asked for, and as
    answers to others; None asks for all."""
    revisions: int = Field(default=0, ge=0, le=2)
    """How often an answer with the instruction is put back to its writer, to list what is asked, check and write it
    again; 0: never."""
    agreed: bool = False
    """Of several answers to a query, the one speaks that most behaviours accept, with the instruction and without it:
    for a responder that obeys now and then (`responses_per_query` of 2 or more)."""
    lift: Threshold = ">= 0.1"
    """Lift that a function needs: ">= 0.2" where the responder follows most instructions."""
    within: float = Field(default=0.15, ge=0, le=1)
    """How far a function's lift may be below that of the instruction's best one."""
    one_behaviour: bool = True
    """Of functions with lift that differ on some text, keep those of one behaviour: the one with the most functions,
    each counted by the share of the cases that it agrees with."""
    obeyed: Threshold = ">= 0.5"
    """Share of the answers without the instruction that a function without lift must accept to be kept for its cases:
    the rule is then one that many answers obey anyway."""
    cases: Threshold = ">= 0.8"
    """Share of the cases that such a function must agree with, among them one that obeys and one that doesn't."""

    @model_validator(mode="after")
    def _check_answers(self) -> "ContrastSettings":
        if self.answers and not self.enabled:
            raise ValueError("answers are for contrast alone: set contrast.enabled=true, or leave contrast.answers out")
        if self.agreed and self.responses_per_query < 2:
            raise ValueError(
                "agreed chooses among several answers to a query: set contrast.responses_per_query to 2 or more"
            )
        return self


class BackTranslationSettings(Record):
    """§3.2, back-translation and NLI."""

    enabled: bool = True
    """The paper's ablation: off, every instruction goes on unlabelled."""
    max_functions: int = Field(default=0, ge=0)
    """Back-translate the first so many functions; 0 is all."""
    dropped_contradictions: Threshold = "> 0"
    """Share of contradicting back-translations from which the instruction is dropped."""
    dropped_by_chat: Threshold | None = None
    """The same share where a language model labels, which errs more often than a classifier; None: no other."""
    nli: Literal["auto", "transformers", "chat"] = "auto"
    """Who labels: the NLI model (`nli` extra), or the judge asked for a label; auto takes the first if installed."""
    nli_model: str = "MoritzLaurer/mDeBERTa-v3-base-xnli-multilingual-nli-2mil7"
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=128, ge=8)


class Augmentation(Record):
    """§3.3, queries joined with instructions."""

    queries_per_instruction: int = Field(default=16, ge=1)
    """§3.3: 16."""
    min_chars: int = Field(default=20, ge=0)
    """§3.3: longer than 20 characters."""
    max_chars: int = Field(default=300, ge=1)
    """§3.3: shorter than 300 characters."""
    language: str = "en"
    """§3.3: English; "" takes every language."""


class RejectionSampling(Record):
    """§3.3, responses and their verification."""

    responses_per_prompt: int = Field(default=8, ge=1)
    """§3.3: K = 8."""
    prompts_together: int = Field(default=16, ge=1)
    """Prompts of an instruction whose responses a function gets in one call: quicker by far than a call a prompt. What
    a function keeps from one text to the next ends with the call."""
    stop_after_prompts: int = Field(default=0, ge=0)
    """Early stop: where functions refuse the responses to the first so many prompts, an instruction asks for no more.
    0 asks all."""
    stop_after_responses: int = Field(default=1, ge=1)
    """Early stop: responses asked for each of those prompts first."""
    gate: bool = False
    """Drop responses that pass without answering: empty, copied from the prompt, or degenerate (autoif.gate); rewards
    and online training do the same."""
    pass_rate: ShareThreshold = "> 0.5"
    """Share of the functions that must return True. §4, Fig. 4: best at 0.8, worse at 1.0."""
    temperature: float = Field(default=0.8, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=16)
    max_chars: int = Field(default=20_000, ge=1)


class Scoring(Record):
    """§3.3, quality verification."""

    enabled: bool = True
    """The paper's ablation: off, every response that passed its functions goes on without a score."""
    samples: int = Field(default=1, ge=1)
    """Scores asked for each response; their mean counts."""
    answer: Literal["text", "json", "yes_no"] = "text"
    """Paper: an analysis, and the score on the last line; json holds the judge to an object where the server can;
    yes_no (with prompts.scoring = "quickstart") asks for one word, and scores by ten times the probability of "yes"."""
    max_analysis_chars: int = Field(default=0, ge=0)
    """The longest analysis in an answer that is held to JSON; 0 is any."""
    mean: ScoreThreshold = ">= 8"
    """§3.3: drop below 8."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=8)


class Deduplication(Record):
    """Beyond §3.4: instructions that are one constraint in other words."""

    behaviour: bool = False
    """Of instructions whose functions behave alike on probes, cases and responses, data is made of the best alone."""
    alike: Threshold = ">= 1"
    """Share of the texts on which both must agree, of those that either accepts and of those that either refuses."""


class Sft(Record):
    """§3.4, rows for SFT."""

    strict: bool = False
    """Only responses that every behaviour cluster of the functions accepts."""
    rows_per_prompt: int = Field(default=0, ge=0)
    """The most rows of one prompt: the best by quality, then by pass rate; 0 is any number."""


class Preferences(Record):
    """§3.4, pairs for DPO."""

    positive: ShareThreshold = "> 0.5"
    negative: Threshold = "= 0"
    instruction_level: bool = True
    query_level: bool = True
    scored_only: bool = True
    """Chosen responses must have passed quality verification, too."""
    positives_per_prompt: int = Field(default=1, ge=1)
    negatives_per_prompt: int = Field(default=1, ge=1)
    """Pairs of a prompt or an instruction: at most positives x negatives."""
    strict: bool = False
    """Chosen only if every behaviour cluster of the functions accepts it, rejected only if every one refuses it and its
    variants."""


class Rewards(Record):
    """§3.4, prompts with their functions for online training."""

    balanced: bool = False
    """Functions of the one behaviour that is likeliest right, in place of all that were kept."""
    reliability: bool = False
    """Each constraint says how likely its functions are right."""


class Execution(Record):
    """How the work is laid out; nothing here changes the results."""

    engine: Literal["local", "ray"] = "local"
    workers: int = Field(default=2, ge=1)
    """Shards in flight at once."""
    records_in_flight: int = Field(default=64, ge=1)
    """Records of a shard in flight at once."""
    shard_size: int = Field(default=64, ge=1)
    """Records of a shard."""
    ray_address: str = ""
    """A running Ray cluster; "" starts one on this machine."""
    ray_wait_s: float = Field(default=600.0, ge=0)
    """How long to wait for the head of a Ray cluster that is gone in the middle of a run."""
    otlp_endpoint: str = ""
    """An OpenTelemetry collector that gets traces and metrics, as in `http://127.0.0.1:4318`; "" leaves it to
    `OTEL_EXPORTER_OTLP_ENDPOINT` and its like, and sends nothing without them (docs/scale.md#telemetry)."""

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_collector(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.password):
            raise ValueError(
                "this is no address of a collector: write it like http://127.0.0.1:4318, and keys into "
                "OTEL_EXPORTER_OTLP_HEADERS"
            )
        return url
