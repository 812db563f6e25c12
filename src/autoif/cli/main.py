"""The `autoif` command: parse, call, print. An error is one line on standard error and exit code 2."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from autoif.cli.interruption import Interrupted
from autoif.cli.lazy_group import LazyGroup, Place
from autoif.errors import AutoIFError, find_lack

_COMMANDS = {
    "audit": Place("autoif.cli.audit:audit", "Measure how right a run's functions are."),
    "cat": Place("autoif.cli.cat:cat", "Print the rows of files, packed or not."),
    "compare": Place("autoif.cli.evaluate:compare", "Compare models with the first of them."),
    "contamination": Place("autoif.cli.contamination:contamination", "Find what training data and benchmarks share."),
    "cross-validate": Place("autoif.cli.cross_validate:cross_validate", "Cross-validate recorded generations."),
    "decisions": Place("autoif.cli.decisions:decisions", "Show what reviewers decided about a run."),
    "doctor": Place("autoif.cli.doctor:doctor", "Test each layer of the sandbox on this machine."),
    "eval": Place("autoif.cli.evaluate:evaluate", "Measure a model on prompts that it was not trained on."),
    "export": Place("autoif.cli.export:export", "Write a run's data in the form that a trainer reads."),
    "fetch": Place("autoif.cli.fetch:fetch", "Copy a run from an address to this machine."),
    "models": Place("autoif.cli.models:models", "List the embedded models, or fetch one."),
    "plot": Place("autoif.cli.evaluate:plot_curves", "Draw the curves of trainings."),
    "prompts": Place("autoif.cli.split:prompts", "Join verified instructions with queries."),
    "push": Place("autoif.cli.push:push", "Put a run's data on the Hugging Face Hub."),
    "record": Place("autoif.cli.record:record", "Record the model answers of runs in one file."),
    "replay": Place("autoif.cli.replay:replay", "Show what a run would be with other thresholds."),
    "report": Place("autoif.cli.report:report", "Make a page of a run, trainings and evaluations."),
    "run": Place("autoif.cli.run:run", "Make training data."),
    "serve": Place("autoif.cli.serve:serve", "Answer HTTP requests for verdicts and rewards."),
    "show": Place("autoif.cli.show:show", "Print a run's funnel and instructions, or one instruction."),
    "split": Place("autoif.cli.split:split", "Divide instructions into training and held-out ones."),
    "status": Place("autoif.cli.status:status", "Print the state of a run, during it or after."),
    "train": Place("autoif.cli.train:train", "Train a model on the data of a run."),
    "verify": Place("autoif.cli.verify:verify", "Run functions on responses."),
    "view": Place("autoif.cli.view:view", "Review runs in a browser."),
}

_LIMITS = {
    errno.EMFILE: "; raise the limit (ulimit -n 4096), then run the same command again",
    errno.EFBIG: "; raise the limit (ulimit -f) or use a disk that takes larger files, then run the same command again",
    errno.ENOMEM: "; free memory or raise the limit (ulimit -v, or the container's), then run the same command again",
    errno.EAGAIN: "; raise the limits of processes and memory (ulimit -u and -v, or the container's), then run the "
    "same command again",
}
"""Advice for each error number that means that a limit of the system is reached."""


@click.group(
    cls=LazyGroup,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="autoif")
def cli() -> None:
    """Make instruction-following training data that running code has verified (AutoIF, Dong et al., 2024).

    New here? Try `autoif run quickstart --recorded`.
    """


def main() -> None:
    """Run the command line; the entry point of the package."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the parent process closed it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the locale may lack characters that a model wrote
    stdout = sys.stdout
    try:
        cli.main(standalone_mode=False)
    except SystemExit as stop:
        # On a broken pipe rich and click both exit with 1: rich from its handler, click after it has replaced stdout.
        is_pipe_broken = isinstance(stop.__context__, BrokenPipeError) or sys.stdout is not stdout
        sys.exit(141 if is_pipe_broken else stop.code)
    except AutoIFError as error:
        _fail(str(error))
    except Interrupted as stop:
        sys.exit(stop.code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:  # the reader (head, less) has exited
        _drop_output()
        sys.exit(141)
    except (OSError, MemoryError, RuntimeError, ImportError, SystemError, ExceptionGroup) as error:
        if lack := find_lack(error):
            error.__traceback__ = None  # free the memory that its frames hold: printing needs some
            _end(f"{os.strerror(lack)}{_LIMITS[lack]}")
        if not isinstance(error, OSError):
            raise
        _drop_output()
        _fail(_explain(error))


def _drop_output() -> None:
    """Send what is still buffered to /dev/null: flushing it at exit would raise the error again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: OSError) -> str:
    """Describe an operating-system error that no command handles itself: of a path, or of standard output."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)[:200]}: {reason}"
    if isinstance(error, FileNotFoundError):  # from os.getcwd
        return "the working directory is gone: change to one that is there"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return f"what is printed can't be written: {reason}"
    return reason


def _fail(message: str) -> NoReturn:
    from autoif.messages import show_in_line  # imported here, as only failing commands need it

    advice = next((advice for number, advice in _LIMITS.items() if os.strerror(number) in message), "")
    _end(f"{show_in_line(message)}{advice}")


def _end(message: str) -> NoReturn:
    print(f"autoif: {message}", file=sys.stderr)  # not click.echo, which may need more memory than is left
    sys.exit(2)
