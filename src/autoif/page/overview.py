"""The sections of a run's page that need no script: its ending, funnel, usage, instructions and settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from autoif.models.cache import Usage
from autoif.page.charts import draw_bar
from autoif.page.data import RunData
from autoif.page.elements import NOTHING, Child, make, make_table, show_text
from autoif.report.ending import describe_ending
from autoif.report.funnel import Funnel, describe_formats, read_formats
from autoif.report.settling import describe_settling, read_settling
from autoif.runs.contents import StageRow, read_reviewed
from autoif.runs.counts import count_rows
from autoif.runs.manifest import read_times
from autoif.runs.store import COMPLETIONS, DATA_SETS, FOLDERS

_RECORDS = {FOLDERS[4]: "prompts", FOLDERS[5]: "responses", FOLDERS[6]: "responses"}
"""The table with the records of a stage; for other stages it is the instructions."""
_SHOWN_INSTRUCTIONS = _SHOWN_REVIEWED = 200
"""Most rows in the tables that need no script."""
_SHOWN_CHARS = 300
_ELSEWHERE = {
    "config", "identity", "versions", "python", "system", "sandbox", "status", "seconds", "times", "usage", "notes",
    "endings",
}  # fmt: skip
"""Fields of run.json that the page shows elsewhere than among the settings."""


def describe_run(manifest: Mapping[str, Any]) -> str:
    """Return one line about a run: how far it is, what made it, how long it took."""
    parts = [
        {"complete": "complete", "running": "not finished: this is what it has so far"}.get(
            str(manifest.get("status")), str(manifest.get("status", "of unknown status"))
        ),
        f"preset {manifest.get('config', {}).get('preset') or 'none'}",
        f"autoif {manifest.get('autoif', '?')}",
        show_seconds(float(manifest.get("seconds", 0))),
    ]
    return " · ".join(parts)


def make_run_notes(run: Path, manifest: Mapping[str, Any]) -> list[Element]:
    """Return notes on what a reader of the run should know."""
    lines = list(map(str, manifest.get("notes", ())))
    if (run / COMPLETIONS).exists():
        ending = describe_ending(run)
        lines = [*ending.lines, *([ending.fault] if ending.fault else [])]
    said = [describe_formats(read_formats(run)), describe_settling(read_settling(run))]
    counts = [f"{name}: {rows:,} rows" for name, rows in count_rows(run, DATA_SETS).items()]
    facts = [make("p", line) for line in (", ".join(counts), *said) if line]
    return [*facts, *(make("p", f"Note: {line}", class_="warning") for line in lines)]


def make_funnel(funnel: Funnel) -> Element:
    """Return the funnel: a row for each stage; each number and reason links to the records behind it."""
    most = max((row.kept + row.dropped for row in funnel), default=1)
    rows: list[Sequence[Child]] = []
    for row in funnel:
        reasons = make("span")
        for reason, said in row.list_reasons():
            reasons.append(make("a", said, class_="reason", href=_link(row.folder, "dropped", reason)))
        whole = f"{row.kept:,} kept, {row.dropped:,} dropped"
        bar = make(
            "a",
            draw_bar(row.kept, row.dropped, most),
            href=_link(row.folder, "all"),
            aria_label=f"{row.folder}: {whole}",
        )
        # No link: the tables show records as the stages left them, before reviewers dropped any.
        linked = row.folder in FOLDERS
        kept = make("a", f"{row.kept:,}", href=_link(row.folder, "kept")) if linked else make("span", f"{row.kept:,}")
        dropped = make("a", f"{row.dropped:,}", href=_link(row.folder, "dropped"))
        rows.append((row.folder, bar, "off" if row.off else reasons, kept, dropped))
    return make_table(
        "What each stage kept and dropped, and why",
        ["stage", "kept and dropped", "why", "kept", "dropped"],
        rows,
        numbers=2,
    )


def _link(folder: str, outcome: str, reason: str = "") -> str:
    """Return the address within the page of a stage's records."""
    if folder not in FOLDERS:
        return "#reviewed"
    wanted = {"stage": folder, "outcome": outcome} | ({"reason": reason} if reason else {})
    return f"#{_RECORDS.get(folder, 'instructions')}?{urlencode(wanted)}"


def make_reviewed(run: Path, data: RunData) -> list[Element]:
    """Return what reviewers' decisions left out, if there are any."""
    found = [*read_reviewed(run)]
    if not found:
        return []
    places = data.find_functions(each.id for each in found[:_SHOWN_REVIEWED])
    rows = [_list_reviewed(each, data, places) for each in found[:_SHOWN_REVIEWED]]
    more = f", the first {len(rows):,} of {len(found):,}" if len(found) > len(rows) else ""
    table = make_table(f"What reviewers left out{more}", ["what", "why", "said"], rows)
    table.set("id", "reviewed")
    return [table]


def _list_reviewed(dropped: StageRow, data: RunData, functions: Mapping[str, int]) -> Sequence[Child]:
    """Return a row. A rejected function is shown by its instruction; a pair, which no file has any more, by its id."""
    record, name = dropped.record or {}, dropped.id
    what: Child = name
    if instruction := record.get("instruction"):
        what = make("a", show_text(instruction["text"], _SHOWN_CHARS), href=f"#instruction/0/{instruction['id']}")
    elif "text" in record:
        what = make("a", show_text(record["text"], _SHOWN_CHARS), href=f"#response/0/{name}")
    elif name in functions:
        line = data.instructions[functions[name]]
        shown = f"a function of: {show_text(line.text, _SHOWN_CHARS)}"
        what = make("a", shown, href=f"#instruction/{functions[name]}/{name}")
    return what, dropped.reason.replace("_", " "), show_text(dropped.detail, _SHOWN_CHARS)


def make_usage(manifest: Mapping[str, Any], data: RunData) -> list[Element]:
    """Return a table of requests and tokens by stage, and the yield of a thousand calls."""
    usage = {stage: Usage.model_validate(found) for stage, found in manifest.get("usage", {}).items()}
    times = read_times(manifest)
    names = [stage.partition("_")[2] for stage in FOLDERS]
    stages = sorted({*usage, *times}, key=lambda stage: names.index(stage) if stage in names else len(names))
    rows = [
        [stage.replace("_", " "), *_list_usage(usage.get(stage, Usage())), show_seconds(times.get(stage))]
        for stage in stages
    ]
    total = Usage.sum(usage.values())
    whole = float(manifest.get("seconds", 0))
    if times and whole > sum(times.values()):
        rows.append(["start and data sets", *[NOTHING] * 5, show_seconds(whole - sum(times.values()))])
    rows.append(["the whole run", *_list_usage(total), show_seconds(whole)])
    columns = ["stage", "model calls", "answers", "prompt tokens", "completion tokens", "US$", "time"]
    said = [] if times else ["It notes no time by stage: an earlier version made it, or it has not ended yet."]
    if manifest.get("replayed"):
        said.append("Answers came from a recording: the times say nothing of a model.")
    elif times:
        said.append("Stages work at the same time; time is shared out by what records spent in each.")
    return [
        make("p", _describe_yields(data, total.requests)),
        make_table("Model calls, tokens, cost and time", columns, rows, numbers=6),
        *[make("p", line, class_="note") for line in said],
    ]


def _describe_yields(data: RunData, requests: int) -> str:
    """Describe the yield of a thousand model calls."""
    if not requests:
        return "No model call is noted yet."
    made = {
        "verified instructions": sum(line.stage == 3 and not line.reason for line in data.instructions),
        "kept responses": sum(line.passed for line in data.instructions),
        "pairs": len(data.pairs),
    }
    return (
        f"Of 1,000 model calls: {'; '.join(f'{1000 * count / requests:,.1f} {name}' for name, count in made.items())}."
    )


def _list_usage(usage: Usage) -> list[str]:
    counts = (usage.requests, usage.completions, usage.prompt_tokens, usage.completion_tokens)
    return [*(f"{count:,}" for count in counts), f"{usage.usd:,.2f}"]


def make_instruction_table(data: RunData) -> Element:
    """Return the first instructions as a table that needs no script."""
    shown = data.instructions[:_SHOWN_INSTRUCTIONS]
    rows = [
        [
            line.text,
            f"{FOLDERS[line.stage]}: {line.reason.replace('_', ' ')}" if line.reason else "kept",
            line.kind,
            f"{line.functions} of {line.written}",
            show_share(line.agreement),
            show_share(line.pass_rate),
            f"{line.passed:,}",
        ]
        for line in shown
    ]
    more = f", the first {len(shown):,} of {len(data.instructions):,}" if len(data.instructions) > len(shown) else ""
    columns = ["instruction", "outcome", "kind", "functions", "agreement", "pass rate", "rows"]
    table = make_table(f"Instructions{more}", columns, rows, numbers=4)
    table.set("class", "wide static")
    return table


def show_seconds(seconds: float | None) -> str:
    """Return a duration; a dash if there is none."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def show_share(share: float | None) -> str:
    """Return a share in per cent; a dash if there is none."""
    return NOTHING if share is None else f"{share:.0%}"


def make_settings(manifest: Mapping[str, Any]) -> list[Element]:
    """Return everything in run.json: models, settings, prompts, versions."""
    config: dict[str, Any] = dict(manifest.get("config", {}))
    prompts = config.pop("prompts", {})
    models = config.pop("models", {})
    known = [(name, model) for name, model in models.items() if isinstance(model, dict)]
    model_rows = [
        [name, *(_show_any(model.get(key)) for key in ("model", "revision", "base_url"))] for name, model in known
    ]
    machine = {"python": manifest.get("python"), "system": manifest.get("system"), "sandbox": manifest.get("sandbox")}
    versions = [[name, _show_any(value)] for name, value in {**dict(manifest.get("versions", {})), **machine}.items()]
    others = {name: value for name, value in manifest.items() if name not in _ELSEWHERE}
    parts = [
        make_table("Models", ["role", "model", "revision", "server"], model_rows),
        make_table("All settings", ["setting", "value"], _flatten({**config, "models": models})),
        make_table("Versions", ["of", "version"], versions),
        make_table("What its results depend on", ["what", "value"], _flatten(manifest.get("identity", {}))),
        make_table("Other notes", ["what", "value"], _flatten(others)),
        make("h3", "Prompts"),
    ]
    for name, prompt in prompts.items():
        text = prompt.get("text", "") if isinstance(prompt, dict) else _show_any(prompt)
        source = f" ({prompt.get('source')})" if isinstance(prompt, dict) else ""
        parts.append(make("details", make("summary", f"{name}{source}"), make("pre", str(text), tabindex="0")))
    return parts


def _flatten(settings: Mapping[str, Any], before: str = "") -> Iterable[list[str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield [f"{before}{key}", _show_any(value)]


def _show_any(value: object) -> str:
    return value if isinstance(value, str) and value else NOTHING if value in (None, "") else json.dumps(value)
