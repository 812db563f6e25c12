"""The completions as a client has them, and what of them is only read when all is over."""

from autoif.models.cache import Usage
from autoif.models.stored_answers import StoredAnswers


class ReadAnswers(StoredAnswers):
    """What a test looks at, once all that was handed over is written."""

    def notes(self) -> list[str]:
        self._thread.submit(lambda: None).result()
        return self._cache.notes()

    def usage(self) -> dict[str, Usage]:
        return self._cache.usage()
