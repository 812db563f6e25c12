"""A run's configuration: preset, then TOML file, then `--set key=value`, where the later one wins; and its identity.

The identity is the settings that shape the results. The settings themselves are in `settings.py`.
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError, model_validator

from autoif import settings as sections
from autoif.errors import ConfigError
from autoif.given_values import Settings
from autoif.models.endpoint import Budget
from autoif.prompts import Prompts
from autoif.reading.json_text import MAX_DEPTH, read_toml, try_json
from autoif.reading.text_lines import expand_home
from autoif.records import HomePath
from autoif.sandbox import SandboxSettings


class Config(Settings):
    """A resolved run configuration."""

    preset: str = "paper"
    """The values to begin with: paper, quickstart, recommended or released."""
    seed: int = 0
    """Changes every sampling seed and every random choice."""
    seeds: HomePath = ""
    """Seed instructions: a file of any form (docs/queries.md) or a run folder; "" takes the packaged ones."""
    queries: HomePath = ""
    """Queries: a file of any form (docs/queries.md), a run folder or `datasets` name; "" takes the packaged ones."""
    models: sections.Models = sections.Models()
    prompts: Prompts = Prompts()
    self_instruct: sections.SelfInstruct = sections.SelfInstruct()
    verification: sections.Verification = sections.Verification()
    cross_validation: sections.CrossValidation = sections.CrossValidation()
    contrast: sections.ContrastSettings = sections.ContrastSettings()
    back_translation: sections.BackTranslationSettings = sections.BackTranslationSettings()
    augmentation: sections.Augmentation = sections.Augmentation()
    rejection_sampling: sections.RejectionSampling = sections.RejectionSampling()
    scoring: sections.Scoring = sections.Scoring()
    deduplication: sections.Deduplication = sections.Deduplication()
    sft: sections.Sft = sections.Sft()
    preferences: sections.Preferences = sections.Preferences()
    rewards: sections.Rewards = sections.Rewards()
    sandbox: SandboxSettings = SandboxSettings()
    execution: sections.Execution = sections.Execution()
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _check_verification_prompt(self) -> "Config":
        """Refuse settings that would have no effect, because the prompt doesn't tell the writer of them."""
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
    def _check_choice(self) -> "Config":
        """Refuse two ways to choose functions. If contrast chooses, the cases only advise."""
        chosen_by = self.cross_validation.choose_by
        if self.contrast.enabled and chosen_by != "cases":
            raise ValueError(
                f"contrast.enabled and cross_validation.choose_by={chosen_by} are two ways to choose functions: set "
                "contrast.enabled=false, or cross_validation.choose_by=cases"
            )
        return self

    @model_validator(mode="after")
    def _check_constraints(self) -> "Config":
        """Refuse settings with which prompts would have fewer constraints than asked for, without a word."""
        asked, size = self.augmentation, self.execution.shard_size
        if asked.max_constraints > size:
            raise ValueError(
                f"augmentation.max_constraints={asked.max_constraints} joins instructions of one shard, and "
                f"execution.shard_size is {size}: set execution.shard_size=64"
            )
        if asked.max_constraints > asked.queries_per_instruction:
            raise ValueError(
                f"augmentation.max_constraints={asked.max_constraints} needs as many queries, and "
                f"augmentation.queries_per_instruction is {asked.queries_per_instruction}: raise it"
            )
        return self

    @model_validator(mode="after")
    def _check_servers(self) -> "Config":
        served = [role for role, endpoint in self.models.by_role().items() if endpoint.serve]
        if served and self.execution.engine != "ray":
            raise ValueError(
                f"models.{served[0]}.serve has Ray start servers: set execution.engine=ray, or --engine ray"
            )
        return self

    @model_validator(mode="after")
    def _check_prices(self) -> "Config":
        """Refuse a budget in money without prices, as it would never stop the run."""
        lacking = [role for role, endpoint in self.models.by_role().items() if not endpoint.has_prices]
        if self.budget.usd is not None and lacking:
            missing = " and ".join(
                f"models.{lacking[0]}.usd_per_million_{kind}_tokens" for kind in ("prompt", "completion")
            )
            raise ValueError(f"budget.usd needs prices, 0 where there are none: set {missing} ({', '.join(lacking)})")
        return self


_LAYOUT = {"execution", "budget", "models.slots", "models.runtime", "sandbox.workers"}
"""Settings and tables of settings that don't shape the results."""
_TRANSPORT = {
    "base_url", "api_key_env", "concurrency", "slow_s", "ask_elsewhere_after_s", "timeout_s", "connect_timeout_s",
    "batch", "batch_wait_s", "batch_poll_s", "retries", "retry_wait_s",
    "serve", "serve_count", "serve_gpus", "serve_start_s",
    "usd_per_million_prompt_tokens", "usd_per_million_completion_tokens",
}  # fmt: skip
"""Settings of an endpoint that say how it is reached and paid, and don't shape the results."""


_FOREIGN_KEY = re.compile(
    r"(?:AWS|GITHUB|GH|GITLAB|CI|BITBUCKET|HF|HUGGING_?FACE(?:HUB)?|WANDB|COMET|KAGGLE|DOCKER|NPM|NODE|PYPI|TWINE|UV|CARGO"
    r"|KUBE|SSH|GPG|SUDO|SLACK|DISCORD|TELEGRAM|STRIPE|TWILIO|SENDGRID|SENTRY|DATADOG|DD|CLOUDFLARE|CF|DIGITALOCEAN|HEROKU"
    r"|VERCEL|NETLIFY|VAULT|DATABASE|PG|POSTGRES|MYSQL|REDIS|MONGO(?:DB)?|SNOWFLAKE|GOOGLE_APPLICATION|AZURE_CLIENT"
    r"|AZURE_STORAGE)(?:_|PASS|URL|URI|\Z)|(?:PATH|HOME|USER|LOGNAME|HOSTNAME|PWD)\Z",
    re.IGNORECASE,
)
"""Variables that hold secrets of other services, which a model's server must not get."""


def presets() -> list[str]:
    """Return the names of the presets in the package."""
    folder = resources.files("autoif") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_config(preset_or_file: str, settings: str | Mapping[str, object] | Sequence[str] = ()) -> Config:
    """Resolve a preset name or a TOML file (which may name its own `preset`), and settings in any form that
    `write_settings` takes.

    Raises ConfigError: unknown preset, unreadable file, unknown key, or a value of the wrong kind; each is named.
    """
    if preset_or_file in presets():
        layers = [_read_preset(preset_or_file)]
    else:
        table = _read_file(expand_home(preset_or_file))
        layers = [_read_preset(str(table.get("preset", "paper"))), table]
    merged: dict[str, Any] = {}
    for layer in layers:
        merge_layer(merged, _spread_model(layer))
    _refuse_foreign_keys(merged)
    for setting in write_settings(settings):
        table = parse_setting(setting)
        if "preset" in table:
            raise ConfigError(
                "a setting can't choose the preset, whose values it goes over: name it first, or in a file"
            )
        merge_layer(merged, _spread_model(table))
    return make_config(merged)


def make_config(settings: Mapping[str, Any]) -> Config:
    """Return the config of nested tables of settings. Raises ConfigError: a value is invalid; each is named."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(_list_problems(error)) from None


def write_settings(settings: str | Mapping[str, object] | Sequence[str] | None) -> list[str]:
    """Return settings in any form as `key=value`.

    Raises ConfigError: they are neither a mapping nor lines, or a value can't be written as JSON.
    """
    if isinstance(settings, Mapping):
        return [f"{key}={_to_json(key, value)}" for key, value in settings.items()]
    lines = [settings] if isinstance(settings, str) else settings or ()
    if isinstance(lines, Collection) and all(isinstance(each, str) for each in lines):
        return list(lines)
    raise ConfigError('set takes settings as in {"scoring.samples": 3}, or lines as in ["scoring.samples=3"]')


def _to_json(key: str, value: object) -> str:
    try:
        return json.dumps(str(value) if isinstance(value, Path) else value)
    except (TypeError, ValueError):
        raise ConfigError(f'setting "{key}" is {value!r}: give a text, a number, a bool, a list or a dict') from None


def _refuse_foreign_keys(table: Mapping[str, Any]) -> None:
    """Refuse a file of settings that would send the secret of another service to a model's server.

    The file may come from a stranger. Whoever wants this names the variable on the command line.
    """
    for key, value in flatten(table):
        if key.startswith("models.") and key.endswith(".api_key_env") and _FOREIGN_KEY.match(str(value)):
            raise ConfigError(
                f"{key} names {value}, the secret of another service than a model's: if {key.split('.')[1]}'s server "
                f"is to get it, say so on the command line: --set {key}={value}"
            )


def identity(config: Config) -> dict[str, JsonValue]:
    """Return the settings that shape the results, flat ("a.b" -> value): those that a run folder may not change.

    For a prompt, the digest of its text counts, not the name of its file.
    """
    flat = dict(flatten(config.model_dump(mode="json", exclude={"prompts"})))
    shaping = {key: value for key, value in flat.items() if not _is_layout(key)}
    asked = {name: prompt for name, prompt in config.prompts.files().items() if _is_asked(name, config)}
    return {**shaping, **{f"prompts.{name}": prompt.digest for name, prompt in asked.items()}}


def _is_asked(name: str, config: Config) -> bool:
    """Tell whether a prompt shapes the results: some are used only by stages that may be switched off."""
    settings = config.verification
    match name:
        case "revision":
            return bool(config.contrast.enabled and config.contrast.revisions)
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
    if key == "execution.shard_size":  # decides which file of the run folder a record is in
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
    table = read_toml(path)
    if not table:
        raise ConfigError(f'{path} holds no setting: write at least preset = "paper"')
    return table


def parse_setting(setting: str) -> dict[str, Any]:
    """Return `a.b=value` as the nested table that a TOML file would give.
    Raises ConfigError: there is no "=" or no key."""
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
    # Read as JSON; `None`, as the documentation writes it, is null; anything else is bare text.
    text = value.strip()
    leaf[last] = try_json("null" if text == "None" else text, text)
    return table


def _spread_model(table: Mapping[str, Any]) -> dict[str, Any]:
    """Let `[models.all]` stand for the three roles; a role's own table wins over it."""
    models = table.get("models")
    if not isinstance(models, Mapping) or "all" not in models:
        return dict(table)
    shared = models["all"]
    if not isinstance(shared, Mapping):
        raise ConfigError('models.all is a table of endpoint settings, as in --set models.all.model="NAME"')
    rest = {key: value for key, value in models.items() if key != "all"}
    return {**table, "models": {**rest, **{role: {**shared, **rest.get(role, {})} for role in sections.ROLES}}}


def merge_layer(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Merge a nested table into another in place; the leaves of `layer` win."""
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            merge_layer(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


_WANTED = {
    "tuple_type": 'Input should be a list, as in ["a", "b"]',
    "dict_type": 'Input should be a table, as in {"a": 1}',
    "model_type": "Input should be a table: name a setting in it, as in scoring.samples=2",
}
"""pydantic's messages about Python types, in the words of a settings file."""


def _list_problems(error: ValidationError) -> str:
    """Return the problems in one line; one that all roles' models share is named once, for `models.all`."""
    problems: dict[str, list[str]] = {}
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            near = get_close_matches(key, [name for name, _ in flatten(Config().model_dump())], 1)
            hint = f'; did you mean "{near[0]}"?' if near else " (docs/configuration.md lists all of them)"
            if near == [key]:  # TOML reads "a.b" in quotes as one name
                hint = f": write {key} without quotation marks, or as a table"
            problems[f'unknown setting "{key}"{hint}'] = []
        else:
            said = _WANTED.get(item["type"], item["msg"]).removeprefix("Value error, ")
            problems.setdefault(said, []).append(key)
    # A problem of the whole config has no key.
    named = {said: [key for key in keys if key] for said, keys in problems.items()}
    return "; ".join(f'setting "{_join_roles(keys)}": {said}' if keys else said for said, keys in named.items())


def _join_roles(keys: Sequence[str]) -> str:
    """Return `models.all.NAME` if the keys are one setting of every role, else list the keys."""
    name = keys[0].rpartition(".")[2]
    all_roles = [f"models.{role}.{name}" for role in sections.ROLES]
    return f"models.all.{name}" if list(keys) == all_roles else '", "'.join(keys)
