"""Every setting of a run, typed and closed: preset, then TOML file, then `--set key=value`, the later one winning.

Each default is the paper's number and names its section. `presets/*.toml` hold what differs from it.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from autoif.errors import ConfigError
from autoif.models.endpoint import Budget, Endpoint
from autoif.models.requests import Role
from autoif.prompts import Prompts
from autoif.reading.text_lines import MAX_DEPTH, parse_json, read_toml
from autoif.records import Record
from autoif.sandbox import SandboxSettings
from autoif.thresholds import Threshold

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
    """Ask on, up to so many functions, until their behaviour is settled; 0: K is fixed."""
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

    case_agreement: Threshold = "> 0.5"
    """Share of the functions that must agree with a case for it to be kept."""
    function_agreement: Threshold = "> 0.5"
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
    min_score: float = Field(default=0.0, ge=0, lt=1)
    """Least score of a function, told without gold from what it does (docs/audit.md); 0 asks for none."""


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
    """Early stop: where no response to the first so many prompts of an instruction passes, the others are not asked.
    0 asks all."""
    stop_after_responses: int = Field(default=1, ge=1)
    """Early stop: responses asked for each of those prompts first."""
    gate: bool = False
    """Drop responses that pass without answering: empty, copied from the prompt, or degenerate (autoif.gate); rewards
    and online training do the same."""
    pass_rate: Threshold = "> 0.5"
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
    answer: Literal["text", "json"] = "text"
    """Paper: an analysis, and the score on the last line; json holds the judge to an object where the server can."""
    max_analysis_chars: int = Field(default=0, ge=0)
    """The longest analysis in an answer that is held to JSON; 0 is any."""
    mean: Threshold = ">= 8"
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

    positive: Threshold = "> 0.5"
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


class Config(Record):
    """A resolved run configuration."""

    preset: str = "paper"
    seed: int = 0
    """Changes every sampling seed and every random choice."""
    seeds: str = ""
    """Seed instructions: a file of any form (docs/queries.md) or a run folder; "" takes the packaged ones."""
    queries: str = ""
    """A file of any form (docs/queries.md), a run folder or `datasets` name; "" takes the packaged pool."""
    models: Models = Models()
    prompts: Prompts = Prompts()
    self_instruct: SelfInstruct = SelfInstruct()
    verification: Verification = Verification()
    cross_validation: CrossValidation = CrossValidation()
    contrast: ContrastSettings = ContrastSettings()
    back_translation: BackTranslationSettings = BackTranslationSettings()
    augmentation: Augmentation = Augmentation()
    rejection_sampling: RejectionSampling = RejectionSampling()
    scoring: Scoring = Scoring()
    deduplication: Deduplication = Deduplication()
    sft: Sft = Sft()
    preferences: Preferences = Preferences()
    rewards: Rewards = Rewards()
    sandbox: SandboxSettings = SandboxSettings()
    execution: Execution = Execution()
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _check_verification_prompt(self) -> "Config":
        """A writer that is told of no helper, or not to think first, does neither."""
        prompt, settings = self.prompts.verification, self.verification
        for setting, on, names in (
            ("vocabulary", settings.vocabulary, {"vocabulary", "vocabulary_briefly"}),
            ("analysis", settings.analysis != "none", {"answer_form"}),
        ):
            if on and not names & prompt.placeholders:
                raise ValueError(
                    f"verification.{setting} needs a prompt that names {{{min(names)}}}, and {prompt.source} does not: "
                    "set prompts.verification=recommended, or quickstart_vocabulary for a small model"
                )
        return self

    @model_validator(mode="after")
    def _check_prices(self) -> "Config":
        """A budget in money that nothing counts against would never stop anything."""
        lacking = [role for role in ROLES if not getattr(self.models, role).has_prices]
        if self.budget.usd is not None and lacking:
            missing = " and ".join(
                f"models.{lacking[0]}.usd_per_million_{kind}_tokens" for kind in ("prompt", "completion")
            )
            raise ValueError(f"budget.usd needs prices, 0 where there are none: set {missing} ({', '.join(lacking)})")
        return self


_LATER: dict[str, JsonValue] = {
    "back_translation.enabled": True,
    "scoring.enabled": True,
    "sandbox.packages": [],
    "cross_validation.min_score": 0.0,
    "deduplication.behaviour": False,
    "deduplication.alike": ">= 1",
    "sft.strict": False,
    "preferences.strict": False,
    "rewards.balanced": False,
    "rewards.reliability": False,
    "sft.rows_per_prompt": 0,
    "back_translation.dropped_by_chat": None,
    "rejection_sampling.gate": False,
    "cross_validation.two_sided": False,
    "contrast.enabled": False,
    "contrast.queries": 8,
    "contrast.responses_per_query": 1,
    "contrast.role": "responder",
    "contrast.lift": ">= 0.1",
    "contrast.within": 0.15,
    "contrast.one_behaviour": True,
    "contrast.obeyed": ">= 0.5",
    "contrast.cases": ">= 0.8",
    "rejection_sampling.stop_after_prompts": 0,
    "rejection_sampling.stop_after_responses": 1,
    "verification.vocabulary": False,
    "verification.analysis": "none",
    "verification.max_analysis_chars": 0,
    "verification.repairs": 0,
    "verification.case_repairs": 0,
    "verification.max_functions": 0,
    "verification.functions_step": 2,
    "verification.settled": ">= 0.75",
    "verification.settled_functions": 2,
    "verification.judge_samples": 0,
    "verification.judged_texts": 3,
}
"""Settings that came after run folders were made, with the value that those folders have without naming it."""
_LAYOUT = {"execution", "budget", "models.slots", "sandbox.workers"}
_TRANSPORT = {
    "base_url", "api_key_env", "concurrency", "timeout_s", "connect_timeout_s", "retries", "retry_wait_s",
    "usd_per_million_prompt_tokens", "usd_per_million_completion_tokens",
}  # fmt: skip


_FOREIGN_KEY = re.compile(
    r"(?:AWS|GITHUB|GH|GITLAB|CI|BITBUCKET|HF|HUGGING_?FACE(?:HUB)?|WANDB|COMET|KAGGLE|DOCKER|NPM|NODE|PYPI|TWINE|UV|CARGO"
    r"|KUBE|SSH|GPG|SUDO|SLACK|DISCORD|TELEGRAM|STRIPE|TWILIO|SENDGRID|SENTRY|DATADOG|DD|CLOUDFLARE|CF|DIGITALOCEAN|HEROKU"
    r"|VERCEL|NETLIFY|VAULT|DATABASE|PG|POSTGRES|MYSQL|REDIS|MONGO(?:DB)?|SNOWFLAKE|GOOGLE_APPLICATION|AZURE_CLIENT"
    r"|AZURE_STORAGE)(?:_|PASS|URL|URI|\Z)|(?:PATH|HOME|USER|LOGNAME|HOSTNAME|PWD)\Z",
    re.IGNORECASE,
)
"""Variables that hold what a model's server has no use for, but a thief has."""


def presets() -> list[str]:
    """Return the names of the presets in the package."""
    folder = resources.files("autoif") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_config(preset_or_file: str, settings: Sequence[str] = ()) -> Config:
    """Resolve a preset name or a TOML file (which may name its own `preset`) and `key=value` settings.

    Raises:
        ConfigError: unknown preset, unreadable file, unknown key, or a value of the wrong kind; each is named.
    """
    if preset_or_file in presets():
        layers = [_read_preset(preset_or_file)]
    else:
        table = _read_file(Path(preset_or_file))
        layers = [_read_preset(str(table.get("preset", "paper"))), table]
    merged: dict[str, Any] = {}
    for layer in layers:
        merge_layer(merged, _spread_model(layer))
    _refuse_foreign_keys(merged)
    for setting in settings:
        merge_layer(merged, _spread_model(parse_setting(setting)))
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_list_problems(error)) from None


def _refuse_foreign_keys(table: Mapping[str, Any]) -> None:
    """Refuse a file of settings that would send the secret of another service to a model's server.

    Such a file may be a stranger's; who means it says so on the command line.
    """
    for key, value in flatten(table):
        if key.startswith("models.") and key.endswith(".api_key_env") and _FOREIGN_KEY.match(str(value)):
            raise ConfigError(
                f"{key} names {value}, the secret of another service than a model's: if {key.split('.')[1]}'s server "
                f"is to get it, say so on the command line: --set {key}={value}"
            )


def identity(config: Config) -> dict[str, JsonValue]:
    """Return the settings that shape the results, flat ("a.b" -> value): those that a run folder may not change.

    Of a prompt the digest of its text counts, not the name of its file.
    """
    flat = dict(flatten(config.model_dump(mode="json", exclude={"prompts"})))
    shaping = {key: value for key, value in flat.items() if not _is_layout(key) and (key, value) not in _LATER.items()}
    asked = {name: prompt for name, prompt in config.prompts.files().items() if _is_asked(name, config)}
    return {**shaping, **{f"prompts.{name}": prompt.digest for name, prompt in asked.items()}}


def _is_asked(name: str, config: Config) -> bool:
    """Tell whether a prompt shapes the results: one that came later does only where its means is switched on."""
    settings = config.verification
    match name:
        case "repair":
            return bool(settings.repairs)
        case "discrimination":
            return bool(settings.case_repairs or settings.judge_samples)
    return True


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Yield ("a.b", value) for every leaf of a nested table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_layout(key: str) -> bool:
    if key == "execution.shard_size":  # it decides which records are in which file of the run folder
        return False
    match key.split("."):
        case ["models", _, name] if name in _TRANSPORT:
            return True
    return key in _LAYOUT or key.split(".", 1)[0] in _LAYOUT


def _read_preset(name: str) -> dict[str, Any]:
    if name not in presets():
        raise ConfigError(f'no preset and no file "{name}": presets are {", ".join(presets())}')
    text = (resources.files("autoif") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _read_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(f'no preset and no file "{path}": presets are {", ".join(presets())}')
    return read_toml(path)


def parse_setting(setting: str) -> dict[str, Any]:
    """Return `a.b=value` as the nested table that a TOML file would give.

    Raises:
        ConfigError: there is no "=" or no key.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f'"{setting}" is no setting: write key=value, as in --set scoring.samples=2')
    table: dict[str, Any] = {}
    leaf = table
    *path, last = key.strip().split(".")
    if len(path) > MAX_DEPTH:
        raise ConfigError(f'unknown setting "{key[:60]}…" (docs/configuration.md lists all of them)')
    for part in path:
        leaf = leaf.setdefault(part, {})
    leaf[last] = _parse_value(value.strip())
    return table


def _parse_value(text: str) -> Any:
    """Read a value as TOML or JSON would, else as bare text."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def _spread_model(table: Mapping[str, Any]) -> dict[str, Any]:
    """Let `[models.all]` stand for the three roles; a role's own table wins over it."""
    models = table.get("models")
    if not isinstance(models, Mapping) or "all" not in models:
        return dict(table)
    shared = models["all"]
    if not isinstance(shared, Mapping):
        raise ConfigError('models.all is a table of endpoint settings, as in --set models.all.model="NAME"')
    rest = {key: value for key, value in models.items() if key != "all"}
    return {**table, "models": {**rest, **{role: {**shared, **rest.get(role, {})} for role in ROLES}}}


def merge_layer(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Lay a nested table over another, in place: its leaves win."""
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            merge_layer(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


def _list_problems(error: ValidationError) -> str:
    """Return what is wrong; what is wrong with all roles' models is said once, of `models.all`."""
    problems: dict[str, list[str]] = {}
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            problems[f'unknown setting "{key}" (docs/configuration.md lists all of them)'] = []
        else:
            problems.setdefault(item["msg"].removeprefix("Value error, "), []).append(key)
    return "; ".join(f'setting "{_join_roles(keys)}": {said}' if keys else said for said, keys in problems.items())


def _join_roles(keys: Sequence[str]) -> str:
    """Return the keys in one word where they are one setting of each role, and listed otherwise."""
    name = keys[0].rpartition(".")[2]
    everyone = [f"models.{role}.{name}" for role in ROLES]
    return f"models.all.{name}" if list(keys) == everyone else '", "'.join(keys)
