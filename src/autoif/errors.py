"""What can go wrong, by boundary. Every message is one line and says what to do.

    AutoIFError
    ├── ConfigError    a setting, a command line or an input file: exit code 2
    ├── ModelError     an endpoint or a model file: exit code 2
    │   └── BudgetExhausted   the token or money limit is reached; the run can be resumed
    ├── SandboxError   a sandbox that cannot be built or enforced: exit code 2
    ├── StoreError     the run folder: damaged, locked, of another config, or out of space: exit code 2
    └── NoData         a run that came to its end without a row; the message says what took them: exit code 2

A bad function, a bad answer or a bad response is none of these: it is data (see `records.Dropped`).
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class AutoIFError(Exception):
    """An error whose message is meant for the user."""


class ConfigError(AutoIFError):
    """A setting or an input file is wrong."""


class ModelError(AutoIFError):
    """A model endpoint or a model file can't be used."""


class BudgetExhausted(ModelError):
    """The run has spent its `--budget-tokens` or `--budget-usd`."""


class SandboxError(AutoIFError):
    """A sandbox can't be built, or the kernel doesn't enforce one of its layers."""


class StoreError(AutoIFError):
    """The run folder can't be read, written or trusted."""


class NoData(AutoIFError):
    """A run is complete and has made nothing, or a server refused most of what a stage asked."""


@contextmanager
def needing_extra(extra: str, what: str) -> Iterator[None]:
    """Raise a ConfigError that names the extra to install if an import in the block fails; `what` is what needs it.

    The first package that is missing is seldom the only one, so the extra is named before it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise ConfigError(
            f"{what} needs the extra {extra}, of which {package} is missing: pip install 'autoif[{extra}]'"
        ) from None
    except ImportError as error:  # it is there, and can't be loaded
        if find_lack(error):
            raise
        raise ConfigError(
            f"{what} can't load a package of the extra {extra} ({first_line(error)}): pip install -U 'autoif[{extra}]'"
        ) from None


_LACKS = {
    "failed to map segment": errno.ENOMEM,
    "can't allocate memory": errno.ENOMEM,
    # Python itself, where it got no more stack for a call:
    "error return without exception set": errno.ENOMEM,
    "returned NULL without setting an exception": errno.ENOMEM,
    "raised unreported exception": errno.ENOMEM,
    "can't start new thread": errno.EAGAIN,
}
"""What Python and libraries say when the system refuses them memory or a thread."""


def find_lack(error: BaseException) -> int:
    """Return ENOMEM or EAGAIN if an error comes from a lack of memory or of threads, else 0."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(find_lack, error.exceptions)), 0)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return errno.ENOMEM
    return next((number for words, number in _LACKS.items() if words in str(error)), 0)


def in_one_line(error: BaseException) -> str:
    """Return the whole message of a library's error in one line of bounded length."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error message: some continue with a page of advice."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
