"""Runs from Python: `autoif.run` makes data, `autoif.load_run` opens a run. The command line calls the same functions.

run = autoif.run("quickstart", output="runs/first", base_url="http://127.0.0.1:8000/v1", model="my-model")
run.sft[0]["messages"]
"""

import html
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar, Unpack, cast, get_type_hints

from pydantic import Field, JsonValue
from rich.console import Console

from autoif.config import Config, load_config, write_settings
from autoif.errors import ConfigError, StoreError, needing_extra
from autoif.given_values import check_type
from autoif.pipeline import Step
from autoif.planning.plan import RunPlan
from autoif.reading.stored_rows import Rows
from autoif.reading.text_lines import expand_home
from autoif.report.ending import check_ending
from autoif.report.funnel import REPORT, Funnel, read_funnel, render_run_html
from autoif.report.progress import Progress
from autoif.runs import resuming, store
from autoif.runs.orchestration import RunOptions, plan_data
from autoif.runs.remote import Remote, is_address, refuse_address
from autoif.runs.sliced_run import make_run
from autoif.runs.slices import Slice
from autoif.sandbox import SandboxSettings
from autoif.together import run_to_end

if TYPE_CHECKING:
    from autoif.audit.run import Audit

T = TypeVar("T")


class Options(TypedDict, total=False):
    """Further keyword arguments of `run`; None stands for the default."""

    seeds: str | Path | None
    """Seed instructions: a file, or an earlier run."""
    queries: str | Path | None
    """Queries: a file, an earlier run, or `hf:NAME` for a data set."""
    until: Step | None
    """`"instructions"` stops after §3.2."""
    instructions: str | Path | None
    """Begin with the verified instructions of an earlier run, or of its instructions.jsonl."""
    engine: str | None
    """`"local"` or `"ray"`."""
    ray_address: str | None
    """Address of a running Ray cluster; by default one is started on this machine."""
    workers: int | None
    """Shards in flight at once."""
    recorded: bool | None
    """Replay the packaged recording of quickstart; no model is asked."""
    recordings: str | Path | Sequence[str | Path] | None
    """Replay a recording of your own, or several; no model is asked."""
    answers: str | Path | Sequence[str | Path] | None
    """Take answers from these recordings, and ask the model for those that they lack."""
    resume_with_changes: bool | None
    """Resume in a folder that was made with other settings."""
    retry_refused: bool | None
    """Ask again for what servers refused."""
    shards: str | None
    """Run one slice, as in "3/100" the third of a hundred; the last slice to finish makes the data (docs/scale.md)."""
    work: str | Path | None
    """The folder to work in if the output is an address; `runs/NAME` by default."""
    progress: bool | None
    """Show progress on standard error, or in the notebook. Default: True."""


class PlanOptions(Options, total=False):
    """Further keyword arguments of `plan`."""

    yields: str | Path | None
    """The folder of a pilot or of an earlier run, or the name of a published source (docs/planning.md)."""
    tokens_per_second: Annotated[float, Field(gt=0)] | None
    """Completion tokens a second, over all requests in flight."""


_SETTINGS = {
    "seeds": "seeds",
    "queries": "queries",
    "engine": "execution.engine",
    "ray_address": "execution.ray_address",
    "workers": "execution.workers",
}
"""Options that stand for a setting."""
_TYPES = get_type_hints(PlanOptions, include_extras=True)


class Run:
    """A run folder, complete or not."""

    def __init__(self, path: str | Path) -> None:
        self.path = path = expand_home(path).absolute()
        self.sft = Rows(path / store.SFT)
        """§3.4: rows for supervised fine-tuning."""
        self.preferences = Rows(path / store.PREFERENCES)
        """§3.4: pairs for DPO."""
        self.rewards = Rows(path / store.REWARDS)
        """§3.4: prompts with their functions, for online training."""
        self.instructions = Rows(path / store.INSTRUCTIONS)
        """§3.2: verified instructions."""

    @property
    def manifest(self) -> dict[str, JsonValue]:
        """The content of run.json: settings, versions, usage, times, notes. Raises StoreError: missing or damaged."""
        return store.read_run(self.path)

    @property
    def funnel(self) -> Funnel:
        """What each stage kept and dropped, and why."""
        return read_funnel(self.path)

    def audit(
        self, gold: str | Path | None = None, data: str | Path | None = None, second: str | Path | None = None
    ) -> "Audit":
        """Measure how right the functions are, as `autoif audit` does (docs/audit.md); write audit.json and return it.

        Args:
            gold: a file of rows {"instruction", "response", "followed"} to measure against, or "ifeval" or "ifbench".
            data: the folder of recorded responses for "ifeval" and "ifbench"; by default the one in `AUTOIF_DATA`.
            second: the folder of a run whose functions another model wrote for the same instructions.

        Raises:
            ConfigError: gold or the second run can't be used, or the extra `eval` is not installed.
            StoreError: the run has no functions yet, or a file can't be read.
            SandboxError: functions can't be contained on this machine.
        """
        with needing_extra("eval", "an audit"):
            from autoif.audit.run import audit_run
        return audit_run(
            self.path, SandboxSettings(), gold, Path(second) if second else None, data=Path(data) if data else None
        )

    def report(self, output: str | Path | None = None) -> Path:
        """Make an HTML page of the run, as `autoif report` does (docs/report.md); return its path.

        Args:
            output: path of the page; by default report.html in the run folder.

        Raises:
            StoreError: a file of the run is damaged, or the page can't be written.
            ConfigError: a file exists there that is no page of autoif, or that belongs to a run.
        """
        from autoif.page.report import write_report

        return write_report(self.path, expand_home(output) if output else self.path / REPORT)[0]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what was made, the funnel, and a link to the page."""
        try:
            made = {name: len(rows) for name, rows in self._made.items()}
            return render_run_html(self.path, str(self.manifest.get("status")), made, self.funnel)
        except StoreError:
            return f"<pre>{html.escape(repr(self))}</pre>"

    @property
    def _made(self) -> dict[str, Rows]:
        return {
            "instructions": self.instructions, "SFT rows": self.sft, "pairs": self.preferences,
            "prompts for rewards": self.rewards,
        }  # fmt: skip

    def __repr__(self) -> str:
        try:
            made = ", ".join(f"{len(rows):,} {name}" for name, rows in self._made.items())
            return f"<autoif run {self.path}: {self.manifest.get('status')}, {made}>"
        except StoreError as error:  # logs and debuggers call this too, so it must not raise
            return f"<autoif run: {error}>"


def run(
    config: str | Path | Config = "quickstart",
    *,
    output: str | Path | None = None,
    base_url: str | None = None,
    model: str | None = None,
    set: str | Mapping[str, object] | Sequence[str] | None = None,
    **options: Unpack[Options],
) -> Run:
    """Make data, or resume an interrupted run in the same folder; return the run.

    Works in a program, in a notebook and inside a running event loop, which it blocks until the run is done.

    Args:
        config: a preset (`quickstart`, `recommended`, `paper`, `released`), a TOML file, or a resolved `Config`.
        output: the run folder, or an address as in s3://BUCKET/runs/NAME (docs/scale.md); `runs/NAME` by default.
        base_url: OpenAI-compatible endpoint for all roles; by default the embedded model runs on this machine.
        model: name of the model of all roles.
        set: settings by name, as in `{"scoring.samples": 3}` or `["scoring.samples=3"]` (docs/configuration.md).
        **options: see `Options`.

    Raises:
        ConfigError: a setting or an input file is wrong.
        ModelError, SandboxError, StoreError: a model, the sandbox or the folder can't be used. Nothing is lost: fix the
            cause and run again.
        NoData: the run is complete, and has made nothing.
        TypeError: an option doesn't exist.
    """
    options = cast(Options, _take_options(options, Options.__optional_keys__))
    resolved, run_options = _resolve_arguments(config, output, {"base_url": base_url, "model": model}, set, options)
    console, shown = Console(stderr=True), options.get("progress") is not False
    run_to_end(make_run(resolved, run_options, Progress(console, quiet=not shown)))
    made = Run(run_options.output)
    if run_options.slice and store.read_manifest(made.path).get("status") != "complete":
        return made
    check_ending(run_options.output)
    if shown and console.is_jupyter:
        _show_in_notebook(made)
    return made


def plan(
    config: str | Path | Config = "quickstart",
    *,
    output: str | Path | None = None,
    base_url: str | None = None,
    model: str | None = None,
    set: str | Mapping[str, object] | Sequence[str] | None = None,
    **options: Unpack[PlanOptions],
) -> RunPlan:
    """Return what `run` with the same arguments would ask and make. No model is asked, nothing is written.

    Args:
        config: as for `run`, likewise `output`, `base_url`, `model` and `set`.
        output: if this folder holds a part of the run, the rest is estimated from it.
        base_url: endpoint of all roles.
        model: name of the model of all roles.
        set: settings by name.
        **options: see `PlanOptions`.

    Raises:
        ConfigError, StoreError: a setting, an input file or the source of the yields can't be used.
        SandboxError: functions of a pilot can't be contained on this machine.
        TypeError: an option doesn't exist.
    """
    options = cast(PlanOptions, _take_options(options, PlanOptions.__optional_keys__))
    resolved, run_options = _resolve_arguments(config, output, {"base_url": base_url, "model": model}, set, options)
    source = options.get("yields")
    named = None if source is None else str(source)
    return run_to_end(plan_data(resolved, run_options, named, options.get("tokens_per_second")))


def _take_options(options: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the options that aren't None. Check names and types here, as Python doesn't check a TypedDict."""
    if name := next((name for name in options if name not in known), ""):
        near = get_close_matches(name, ["output", "base_url", "model", "set", *known], 1)
        raise TypeError(f"no option is called {name!r}" + (f": is it {near[0]!r}?" if near else ""))
    return {name: check_type(name, value, _TYPES[name]) for name, value in options.items() if value is not None}


def _list_files(given: str | Path | Sequence[str | Path] | None) -> list[Path]:
    if given is None:
        return []
    return [expand_home(each) for each in ([given] if isinstance(given, str | Path) else given)]


def _resolve_arguments(
    config: str | Path | Config,
    output: str | Path | None,
    endpoint: Mapping[str, str | None],
    set: str | Mapping[str, object] | Sequence[str] | None,
    options: Options,
) -> tuple[Config, RunOptions]:
    """Return the resolved settings and the options of a run."""
    config = config if isinstance(config, Config) else check_type("config", config, str | Path)
    output = check_type("output", output, str | Path | None)
    by_setting = {f"models.all.{name}": value for name, value in endpoint.items()} | {
        key: options.get(name) for name, key in _SETTINGS.items()
    }
    given = {key: value for key, value in by_setting.items() if value is not None}
    resolved = _resolve(config, [*write_settings(given), *write_settings(set)])
    name = config.preset if isinstance(config, Config) else Path(config).stem
    replayed = _list_files(options.get("recordings"))
    if options.get("recorded"):
        replayed.insert(0, _packaged_recording(name))
    folder, remote = place_run(output, options.get("work"), f"{name}{'-recorded' if replayed else ''}")
    instructions = options.get("instructions")
    if instructions is not None and options.get("seeds"):
        raise ConfigError("a run that begins with --instructions uses no --seeds: leave one of them out")
    run_options = RunOptions(
        output=folder,
        until=options.get("until") or "queries",
        instructions=expand_home(instructions) if instructions is not None else None,
        recordings=(*replayed, *_list_files(options.get("answers"))),
        replay=bool(replayed),
        resume_with_changes=options.get("resume_with_changes") or False,
        retry_refused=options.get("retry_refused") or False,
        remote=remote,
        slice=Slice.parse(str(options["shards"])) if "shards" in options else None,
    )
    return resolved, run_options


def load_run(path: str | Path) -> Run:
    """Return the run in a folder.

    Raises:
        StoreError: it is no run folder, or one of another version.
    """
    refuse_address(path)
    store.read_run(expand_home(path))
    return Run(expand_home(path))


def fetch_run(address: str, output: str | Path | None = None) -> Run:
    """Copy a run whose output is at an address (s3://…) to a folder of this machine, and return it.

    Args:
        address: the run's `--output`.
        output: a new folder; by default `runs/NAME`.

    Raises:
        ConfigError: the address can't be used.
        StoreError: there is no run, the folder exists already, or a file is missing or damaged.
    """
    remote = Remote(address)
    folder = expand_home(output) if output is not None else Path("runs") / remote.name
    resuming.fetch_run(remote, folder)
    return load_run(folder)


def place_run(output: str | Path | None, work: str | Path | None, name: str) -> tuple[Path, Remote | None]:
    """Return a run's folder on this machine and, if its output is an address, its `Remote`."""
    if output == "":
        raise ConfigError('output is "": name a folder ("." is the working directory), or leave it out')
    if isinstance(output, str) and is_address(output):
        remote = Remote(output)
        return expand_home(work) if work is not None else Path("runs") / remote.name, remote
    if isinstance(output, Path) and output.parts and re.fullmatch(r"[a-z][a-z0-9+.-]+:", output.parts[0]):
        raise ConfigError(f"{output} has lost a slash of its address: give output as text, as in s3://BUCKET/runs/NAME")
    if work is not None:
        raise ConfigError("--work goes with an --output at an address, as in s3://BUCKET/runs/NAME")
    folder = expand_home(output) if output is not None else Path("runs") / name
    if not (folder / store.MANIFEST).is_file():
        store.refuse_run_file(folder)
    return folder, None


def _show_in_notebook(made: Run) -> None:
    """Make the run's page, and show the run with a link to it below the progress."""
    from IPython.display import display  # a notebook has it

    made.report()
    display(made)


def _resolve(config: str | Path | Config, settings: Sequence[str]) -> Config:
    if not isinstance(config, Config):
        return load_config(str(config), settings)
    if settings:
        raise ConfigError("a Config is resolved already: name a preset or a TOML file to change settings of it")
    return config


def _packaged_recording(config: str) -> Path:
    path = resources.files("autoif") / "presets" / f"{config}.recording.jsonl.xz"
    if not path.is_file():
        raise ConfigError(f'there is no recording of "{config}": it goes with the preset quickstart')
    return Path(str(path))
