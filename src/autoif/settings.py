"""The settings of each stage, typed and closed: one class a section of the configuration.

Each default is the paper's number and names its section. `presets/*.toml` hold what differs from it.
"""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from autoif.faults.reasons import FOUND_BEFORE_ANSWERS, FindingReason
from autoif.given_values import Settings
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Role
from autoif.records import HomePath
from autoif.thresholds import RejectedThreshold, ScoreThreshold, ShareThreshold, Threshold

ROLES: tuple[Role, ...] = ("writer", "responder", "judge")


class Models(Settings):
    """Who writes, who answers, who judges: one model by default (self-alignment); each role may have another."""

    writer: Endpoint = Endpoint()
    """Instructions, functions, cases and back-translations."""
    responder: Endpoint = Endpoint()
    judge: Endpoint = Endpoint()
    """Quality scores, and NLI labels where no NLI model is used."""
    slots: int = Field(default=8, ge=1, le=64)
    """Answers that the embedded model writes at the same time."""
    runtime: Literal["auto", "openvino", "llama.cpp"] = "auto"
    """What the embedded model runs in. auto: OpenVINO where it is installed and known to be quicker (a model of
    `autoif models`, a processor with AVX-512 VNNI, enough memory), else llama.cpp. A run keeps what it began with."""

    def by_role(self) -> dict[Role, Endpoint]:
        return {"writer": self.writer, "responder": self.responder, "judge": self.judge}

    def with_endpoints(self, endpoints: Mapping[Role, Endpoint]) -> "Models":
        return self.model_copy(update={str(role): endpoint for role, endpoint in endpoints.items()})


class SelfInstruct(Settings):
    """§3.2, seeds and rewrites."""

    rewrites_per_seed: int = Field(default=100, ge=0)
    """§4: K = 100 rewrites of each seed."""
    rewrites_per_call: int = Field(default=50, ge=1)
    """Released code: 50 a call."""
    seed_limit: int = Field(default=0, ge=0)
    """How many seeds are rewritten; 0 is all."""
    max_instructions: int = Field(default=0, ge=0)
    """The most instructions that go on, seeds and rewrites in turn; 0 is all."""
    max_chars: int = Field(default=200, ge=20)
    """Longest instruction that is kept."""
    near_duplicate: float = Field(default=90.0, ge=0, le=100)
    """Similarity, 0 to 100, from which two instructions that ask for the same words in the same order are folded."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    max_tokens: int = Field(default=2048, ge=16)


class Verification(Settings):
    """§3.2, verification functions and cases."""

    functions_per_instruction: int = Field(default=8, ge=1)
    """Released samples: K = 8."""
    cases_per_function: int = Field(default=3, ge=1, le=20)
    """§3.2: three cases with each function."""
    temperature: float = Field(default=0.8, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=32)
    vocabulary: bool = False
    """Tell the writer of tested helpers (docs/vocabulary.md); a function's source carries the helpers that it calls."""
    analysis: Literal["none", "field", "text"] = "none"
    """Have the writer think before it writes code: in a field of the JSON object, or in text before the object."""
    max_analysis_chars: int = Field(default=0, ge=0)
    """Longest analysis in a field, if the server can enforce it; 0 is any."""
    repairs: int = Field(default=0, ge=0, le=2)
    """How often a function that doesn't load, raises or behaves as no other goes back to the writer with its fault; 0:
    never."""
    case_repairs: int = Field(default=0, ge=0, le=2)
    """How often the writer is asked about a case that most functions contradict; 0: never."""
    max_functions: int = Field(default=0, ge=0)
    """Ask for more functions, up to this number, until most behave alike, or until one has the score of
    `cross_validation.sure_score`; 0: K is fixed."""
    functions_step: int = Field(default=2, ge=1)
    """How many more functions are asked for at a time."""
    settled: Threshold = ">= 0.75"
    """Behaviour is settled when this share of the answers gave functions that behave alike."""
    settled_functions: int = Field(default=2, ge=2)
    """The least number of such answers."""
    judge_samples: int = Field(default=0, ge=0)
    """How often the judge is asked about each text on which functions differ; 0: never."""
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


class CrossValidation(Settings):
    """§3.2, functions against cases."""

    case_agreement: ShareThreshold = "> 0.5"
    """A case is kept if this share of the functions agrees with it."""
    function_agreement: ShareThreshold = "> 0.5"
    """A function is kept if it agrees with this share of the kept cases."""
    min_functions: int = Field(default=1, ge=1)
    """The least number of functions that load, before any filtering."""
    min_cases: int = Field(default=1, ge=1)
    """The least number of cases, before any filtering."""
    both_outcomes: bool = False
    """The kept cases must include one that follows and one that doesn't: functions that reject everything agree with
    each other."""
    two_sided: bool = False
    """A function counts only if it accepts one text and rejects another, among cases and probes (autoif.probes); with
    contrast, which always requires this, also among answers. Unlike `both_outcomes`, it loses no right function to its
    writer's cases."""
    choose_by: Literal["cases", "majority", "score"] = "cases"
    """What decides which functions are kept. cases: the writer's cases, as in the paper. majority: what most of the
    writer's answers mean. score: the majority together with how likely each function is right (docs/audit.md)."""
    majority: Threshold = ">= 0.6"
    """With majority or score, the share of the answers whose functions must behave alike; with score, of the answers
    whose functions have no fault and enough score."""
    sure_score: Threshold = ">= 0.8"
    """With `choose_by = "score"`, a score that suffices without a majority."""
    findings: tuple[FindingReason, ...] = ()
    """Findings of an audit that exclude a function, as ["vacuous", "dead", "raises", "too_slow", "threshold",
    "asked_text"] (docs/audit.md)."""
    min_score: float = Field(default=0.0, ge=0, lt=1)
    """The least score of a function, estimated from what it does (docs/audit.md#score); 0: none."""

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


class ContrastSettings(Settings):
    """Beyond §3.2: functions are chosen by their verdicts on answers, with the instruction and without it."""

    enabled: bool = False
    """Choose by lift: the share that a function accepts of answers to its instruction, minus the share of answers to
    the same queries without it. The cases only advise. Off: `choose_by` decides."""
    queries: int = Field(default=8, ge=1)
    """Queries that are answered with the instruction and without it: the first of those it is joined with later."""
    responses_per_query: int = Field(default=1, ge=1)
    """Answers of each kind to each of these queries."""
    role: Role = "responder"
    """Who answers: the responder, whose answers are reused in rejection sampling, or another role with a stronger
    model."""
    answers: HomePath | None = None
    """A file of {"instruction", "response"} by better models, used in place of asked answers, and as answers to other
    instructions."""
    revisions: int = Field(default=0, ge=0, le=2)
    """How often an answer with the instruction goes back to its model, to list what is asked, check and rewrite it; 0:
    never."""
    agreed: bool = False
    """Of several answers to a query (`responses_per_query` of 2 or more), use the one that most behaviours accept: for
    a responder that follows now and then."""
    lift: Threshold = ">= 0.1"
    """The lift that a function needs; ">= 0.2" for a responder that follows most instructions."""
    within: float = Field(default=0.15, ge=0, le=1)
    """How far a function's lift may be below the best of its instruction."""
    one_behaviour: bool = True
    """If functions with lift differ on some text, keep one behaviour: the one with the most functions, each weighted by
    the share of cases it agrees with."""
    obeyed: Threshold = ">= 0.5"
    """A function without lift can be kept for its cases if it accepts this share of the answers without the
    instruction: a rule that many answers follow anyway."""
    cases: Threshold = ">= 0.8"
    """The share of cases that such a function must agree with, among them one that follows and one that doesn't."""

    @model_validator(mode="after")
    def _check_answers(self) -> "ContrastSettings":
        if self.answers and not self.enabled:
            raise ValueError("answers are for contrast alone: set contrast.enabled=true, or leave contrast.answers out")
        if self.agreed and self.responses_per_query < 2:
            raise ValueError(
                "agreed chooses among several answers to a query: set contrast.responses_per_query to 2 or more"
            )
        return self


class BackTranslationSettings(Settings):
    """§3.2, back-translation and NLI."""

    enabled: bool = True
    """Off (the paper's ablation), every instruction passes unlabelled."""
    max_functions: int = Field(default=0, ge=0)
    """How many functions are described, the first ones; 0 is all."""
    dropped_contradictions: Threshold = "> 0"
    """An instruction is dropped if this share of its back-translations contradicts it."""
    dropped_by_chat: Threshold | None = None
    """The same for labels of a language model, which errs more often than a classifier; None: the same share."""
    nli: Literal["auto", "transformers", "chat"] = "auto"
    """Who labels: transformers, the NLI model (extra `nli`), or chat, the judge; auto takes the first if installed."""
    nli_model: HomePath = "MoritzLaurer/mDeBERTa-v3-base-xnli-multilingual-nli-2mil7"
    """The NLI model: a name on the hub, or a folder."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=128, ge=8)


class Augmentation(Settings):
    """§3.3, queries joined with instructions."""

    queries_per_instruction: int = Field(default=16, ge=1)
    """§3.3: 16."""
    max_constraints: int = Field(default=1, ge=1, le=8)
    """Most instructions of a prompt. With 3, a third of the queries gets one, a third two, a third three. §3.3: 1."""
    min_chars: int = Field(default=20, ge=0)
    """§3.3: longer than 20 characters."""
    max_chars: int = Field(default=300, ge=1)
    """§3.3: shorter than 300 characters."""
    language: str = "en"
    """§3.3: English; "" takes every language."""


class RejectionSampling(Settings):
    """§3.3, responses and their verification."""

    responses_per_prompt: int = Field(default=8, ge=1)
    """§3.3: K = 8."""
    prompts_together: int = Field(default=16, ge=1)
    """Prompts of an instruction whose responses a function gets in one call, which is much faster than a call for each.
    A function's state ends with the call."""
    stop_after_prompts: int = Field(default=0, ge=0)
    """Early stop: if functions reject all responses to this many prompts of an instruction, it asks for no more. 0:
    off."""
    stop_after_responses: int = Field(default=1, ge=1)
    """Early stop: responses that each of these prompts gets first."""
    gate: bool = False
    """Drop responses that pass without answering: empty, copied from the prompt, or degenerate (docs/rewards.md)."""
    pass_rate: ShareThreshold = "> 0.5"
    """The share of functions that must return True. §4, Fig. 4: best at 0.8, worse at 1.0."""
    temperature: float = Field(default=0.8, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=16)
    max_chars: int = Field(default=20_000, ge=1)
    """Longest response that is kept."""


class Scoring(Settings):
    """§3.3, quality verification."""

    enabled: bool = True
    """Off (the paper's ablation), every response that passed its functions goes on without a score."""
    samples: int = Field(default=1, ge=1)
    """How many scores are asked for each response; their mean counts."""
    answer: Literal["text", "json", "yes_no"] = "text"
    """text: an analysis, and the score on the last line, as in the paper. json: the same as an object, if the server
    can enforce it. yes_no: one word (with prompts.scoring = "quickstart"); the score is ten times the probability of
    "yes"."""
    max_analysis_chars: int = Field(default=0, ge=0)
    """Longest analysis in a JSON answer; 0 is any."""
    mean: ScoreThreshold = ">= 8"
    """The mean score of responses that are kept. §3.3: drop below 8."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=8)


class Deduplication(Settings):
    """Beyond §3.4: instructions that are one constraint in other words."""

    behaviour: bool = False
    """If the functions of several instructions behave alike on probes, cases and responses, use only the best one."""
    alike: Threshold = ">= 1"
    """The share of texts on which both must agree, among those that either accepts and those that either rejects."""


class Sft(Settings):
    """§3.4, rows for SFT."""

    strict: bool = False
    """Keep only responses that every behaviour cluster of the functions accepts."""
    rows_per_prompt: int = Field(default=0, ge=0)
    """The most rows of a prompt, the best by quality, then by pass rate; 0 is any number."""


class Preferences(Settings):
    """§3.4, pairs for DPO."""

    positive: ShareThreshold = "> 0.5"
    """§3.4: pass rate of a text that may be chosen."""
    negative: RejectedThreshold = Field(default="= 0", validate_default=True)
    """§3.4: pass rate of a text that may be rejected."""
    instruction_level: bool = True
    """Make pairs of test cases, with the instruction alone as prompt."""
    query_level: bool = True
    """Make pairs of responses to a prompt."""
    scored_only: bool = True
    """Chosen responses must also have passed quality verification."""
    positives_per_prompt: int = Field(default=1, ge=1)
    """Chosen texts of a prompt or an instruction."""
    negatives_per_prompt: int = Field(default=1, ge=1)
    """Rejected texts; pairs are at most positives x negatives."""
    strict: bool = False
    """Every behaviour cluster of the functions must accept the chosen text, and reject the rejected one and its
    variants."""


class Rewards(Settings):
    """§3.4, prompts with their functions for online training."""

    balanced: bool = False
    """Rows have only the functions of the behaviour that is likeliest right."""
    reliability: bool = False
    """Each constraint says how likely its functions are right, 0 to 1."""


class Execution(Settings):
    """How the work is laid out; nothing here changes the results, except `shard_size` with `max_constraints`."""

    engine: Literal["local", "ray"] = "local"
    """Where shards run: this machine, or Ray."""
    workers: int = Field(default=2, ge=1)
    """Shards in flight at once."""
    records_in_flight: int = Field(default=64, ge=1)
    """Records of a shard in flight at once."""
    shard_size: int = Field(default=64, ge=1)
    """Records of a shard. `augmentation.max_constraints` joins instructions of one shard."""
    ray_address: str = ""
    """A running Ray cluster; "" starts one on this machine."""
    ray_wait_s: float = Field(default=600.0, ge=0)
    """How long to wait for the head of a Ray cluster that went away during a run."""
    otlp_endpoint: str = ""
    """An OpenTelemetry collector for traces and metrics, as `http://127.0.0.1:4318`; "" uses
    `OTEL_EXPORTER_OTLP_ENDPOINT` and the like, and sends nothing without them (docs/scale.md#telemetry)."""

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
