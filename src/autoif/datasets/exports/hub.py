"""A run as a data set on the Hugging Face hub: its rows unchanged, and a card that says how they were made.

The card is written from run.json and from what the stages kept and dropped. It names models, settings and versions, but
no address, path or variable of the machine that the run was made on.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from autoif.datasets.exports.files import RowTable, TextFile, write_files
from autoif.datasets.exports.parquet import export as export_tables
from autoif.datasets.reviewed_rows import read_rows
from autoif.datasets.rows import RowSets
from autoif.errors import ConfigError, in_one_line, needing_extra
from autoif.markdown import escape_markdown, show_code, write_front_matter, write_table
from autoif.report.funnel import read_funnel
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import MANIFEST
from autoif.settings import ROLES
from autoif.sweep.settings import list_idle

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_PURPOSES = {
    "sft": "responses that passed their functions and the quality verification, for supervised fine-tuning",
    "preferences": "pairs of a text that the functions accept and one that none accepts, for DPO",
    "rewards": "prompts with their functions, for online training",
}
_CHOICE = "cross_validation.choose_by"
_SETTINGS = (
    _CHOICE,
    "cross_validation.case_agreement",
    "cross_validation.function_agreement",
    "cross_validation.majority",
    "cross_validation.sure_score",
    "cross_validation.min_score",
    "cross_validation.findings",
    "contrast.enabled",
    "contrast.lift",
    "back_translation.dropped_contradictions",
    "rejection_sampling.pass_rate",
    "scoring.answer",
    "scoring.mean",
    "preferences.positive",
    "preferences.negative",
    "seed",
)
"""The settings that a card lists, unless they have no effect in the run."""


def export_run(run: Path) -> list[RowTable | TextFile]:
    """Return the data sets of a finished run and their card, README.md.

    Raises:
        ConfigError: it is no run folder, its run isn't complete, or it has no rows.
        StoreError: run.json is damaged, or a row doesn't fit.
    """
    manifest: Mapping[str, Any] = RunFolder(run).read_manifest()
    if not manifest:
        raise ConfigError(f"{run} is no run folder: it has no {MANIFEST}")
    if manifest.get("status") != "complete":
        raise ConfigError(f"the run of {run} is {manifest.get('status')}: finish it with the command that began it")
    rows = read_rows([run])
    return [*export_tables(rows, ".jsonl"), TextFile("README.md", render_card(run, manifest, rows))]


def upload(run: Path, repository: str, *, private: bool) -> str:
    """Upload a run to the hub, as a new data set or as a new commit of an existing one; return its address.
    Raises ConfigError: huggingface_hub isn't installed, the hub refuses, or as `export_run` does."""
    with needing_extra("datasets", "the hub"):
        from huggingface_hub import HfApi
    files = export_run(run)
    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with tempfile.TemporaryDirectory(prefix="autoif-push-") as folder:
        write_files(Path(folder), files)
        try:
            address = hub.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repository, repo_type="dataset", folder_path=folder, commit_message="Data and card by autoif"
            )
        except Exception as error:  # errors of huggingface_hub, of its HTTP client and of the network
            raise ConfigError(
                f"{repository} can't be pushed: {in_one_line(error)}; `hf auth login` gives access"
            ) from error
    return str(address)


def render_card(run: Path, manifest: Mapping[str, Any], rows: RowSets) -> str:
    """Return the card of a run's data, with the front matter that the hub reads."""
    counts = {"sft": len(rows.sft), "preferences": len(rows.preferences), "rewards": len(rows.rewards)}
    present = {name: count for name, count in counts.items() if count}
    name = run.resolve().name
    lines = [*_front_matter(name, present), "", f"# {escape_markdown(name)}", ""]
    lines += [
        "Instruction-following data that running code has verified, made by autoif, an implementation of AutoIF",
        "([Dong et al., 2024](https://arxiv.org/abs/2406.13542)). Models wrote instructions, functions and responses.",
        "",
        *write_table(
            ["data set", "rows", ""], ([f"`{each}`", count, _PURPOSES[each]] for each, count in present.items())
        ),
        "",
        "The functions in `constraints` are code that a model wrote: run them in a sandbox only.",
        "`autoif verify --dataset sft.jsonl` runs them again.",
        "",
        "## How it was made",
        "",
        *write_table(["", ""], _facts(manifest).items()),
        "",
        *write_table(
            ["stage", "kept", "dropped"],
            ([row.folder, row.kept, escape_markdown(row.why) or "0"] for row in read_funnel(run)),
        ),
        "",
    ]
    return "\n".join(lines)


def _front_matter(name: str, counts: Mapping[str, int]) -> list[str]:
    total = sum(counts.values())
    size = next((label for limit, label in _SIZES if total < limit), "1M<n<10M")
    configs = [{"config_name": each, "data_files": f"{each}.jsonl"} for each in counts]
    return write_front_matter({
        "pretty_name": name,
        "task_categories": ["text-generation"],
        "tags": ["instruction-following", "synthetic", "autoif"],
        "size_categories": [size],
        "configs": configs,
    })  # fmt: skip


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    config, usage = manifest.get("config", {}), manifest.get("usage", {}).values()
    facts = {"preset": show_code(str(config.get("preset")))}
    for role in ROLES:
        model = config.get("models", {}).get(role, {}).get("model", "")
        facts[role] = show_code(PurePath(model).name if _is_file(model) else model)
    chooser = "contrast" if _find_setting(config, "contrast.enabled") else _find_setting(config, _CHOICE) or "cases"
    idle = list_idle(chooser, _SETTINGS)
    for key in _SETTINGS:
        value = _find_setting(config, key)
        if value is not None and key not in idle:
            facts[f"`{key}`"] = show_code(
                ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
            )
    facts["sandbox"] = escape_markdown(str(manifest.get("sandbox")))
    facts["completions"] = f"{sum(stage['completions'] for stage in usage)}"
    facts["tokens"] = f"{sum(stage['prompt_tokens'] + stage['completion_tokens'] for stage in usage)}"
    versions = manifest.get("versions", {}).items()
    facts["versions"] = ", ".join(escape_markdown(f"{package} {found}") for package, found in versions)
    return facts


def _find_setting(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _is_file(model: str) -> bool:
    """Tell whether a model is named by a path, which means nothing on other machines, rather than as `owner/model`."""
    return model.startswith(("/", ".", "~")) or model.endswith(".gguf")
