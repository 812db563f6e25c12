"""§3.4, the settings of iterative online DPO: those of the rounds; each round's DPO has those of `autoif train dpo`.

The rounds' come from the table `[online]` of the TOML file and from `--set online.KEY=VALUE`.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from autoif.config import Preferences, merge_layer, parse_setting
from autoif.errors import ConfigError
from autoif.models.requests import sampling_seed
from autoif.sampling import SamplingSettings
from autoif.sandbox import SandboxSettings
from autoif.thresholds import Threshold
from autoif.training.settings import Settings, read_settings_file, resolve_settings


class OnlineSettings(SandboxSettings):
    """§3.4, how each round makes its pairs; and how functions are run on what the policy says."""

    rounds: int = Field(default=3, ge=1)
    """§3.4 repeats and doesn't say how often; three is what iterative DPO elsewhere settles on."""
    responses_per_prompt: int = Field(default=8, ge=2)
    """§3.3: K = 8."""
    temperature: float = Field(default=0.8, gt=0, le=2)
    """§3.4: 0.8."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=1024, ge=1)
    """Of a response; what is cut there is no whole answer, and in no pair."""
    prompts_per_round: int = Field(default=0, ge=0)
    """Drawn from the data anew in each round; 0 takes all."""
    positive: Threshold = "> 0.5"
    """§3.4: the pass rate from which a response may be chosen."""
    negative: Threshold = "= 0"
    """§3.4: the pass rate at which a response may be rejected."""
    positives_per_prompt: int = Field(default=1, ge=1)
    negatives_per_prompt: int = Field(default=1, ge=1)
    """Pairs of a prompt: at most positives x negatives."""
    gate: bool = True
    """Whether what passes functions vacuously, as an empty or copied text does, is never chosen."""
    batch_size: int = Field(default=32, ge=1)
    """Responses generated together by transformers."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "bfloat16"
    """Of the policy's weights while it is sampled."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """What the chat template is given beside the messages while the policy is sampled, and in the DPO."""
    seed: int = 0
    """Of drawing prompts and responses; `seed` without `online.` is the DPO's."""

    def sampling(self, number: int) -> SamplingSettings:
        """Return the settings of one round's sampling; each round draws anew."""
        return SamplingSettings(
            responses=self.responses_per_prompt,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=sampling_seed("online", self.seed, number),
            batch_size=self.batch_size,
            dtype=self.dtype,
            chat_template_kwargs=self.chat_template_kwargs,
        )

    def pairing(self) -> Preferences:
        """Return the rules of pairing."""
        return Preferences(
            positive=self.positive,
            negative=self.negative,
            positives_per_prompt=self.positives_per_prompt,
            negatives_per_prompt=self.negatives_per_prompt,
        )

    def identity(self) -> dict[str, Any]:
        """Return what shapes the result, as "online.KEY"."""
        later = {name for name in ("chat_template_kwargs", "packages") if not getattr(self, name)}
        shaping = self.model_dump(mode="json", exclude={"workers", *later})
        return {f"online.{key}": value for key, value in shaping.items()}


def resolve_online(file: Path | None, settings: Sequence[str], *, lora: bool) -> tuple[OnlineSettings, Settings]:
    """Return the settings of the rounds and those of each round's DPO.

    Raises:
        ConfigError: an unreadable file, an unknown setting or a value of the wrong kind; each is named.
    """
    table = read_settings_file(file) if file else {}
    online: dict[str, Any] = {}
    rest = []
    for layer in (table, *map(parse_setting, settings)):
        if "online" in layer:
            merge_layer(online, {"online": layer["online"]})
        rest += [f"{key}={json.dumps(value, default=str)}" for key, value in layer.items() if key != "online"]
    found = online.get("online", {})
    if not isinstance(found, dict):
        raise ConfigError("online is a table of settings, as in --set online.rounds=2")
    rounds, dpo = _read_online(found), resolve_settings("dpo", None, rest, lora=lora)
    if rounds.chat_template_kwargs and not dpo.template_kwargs:
        dpo = replace(dpo, template_kwargs=rounds.chat_template_kwargs)
    return rounds, dpo


def _read_online(given: dict[str, Any]) -> OnlineSettings:
    try:
        return OnlineSettings.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = f"online.{problem['loc'][0]}" if problem["loc"] else "online"
        if problem["type"] == "extra_forbidden":
            names = [*OnlineSettings.__annotations__, *SandboxSettings.model_fields]
            raise ConfigError(f'unknown setting "{name}"; there are {", ".join(names)}') from None
        raise ConfigError(f'setting "{name}": {problem["msg"].removeprefix("Value error, ")}') from None
