"""The server's log, which clients can't fill."""

import logging
from time import monotonic
from typing import Final

_FEW: Final = 10
_PERIOD_S: Final = 60.0


class FewOfAKind(logging.Filter):
    """Lets through so many lines a minute from each place in the code, and says how many it left out."""

    def __init__(self, few: int = _FEW, period_s: float = _PERIOD_S) -> None:
        super().__init__()
        self._few = few
        self._period_s = period_s
        self._counted: dict[tuple[str, int], tuple[float, int]] = {}
        """Place → when its period began, and how many lines it has had since then."""

    def filter(self, record: logging.LogRecord) -> bool:
        place = (record.pathname, record.lineno)
        began, count = self._counted.get(place, (monotonic(), 0))
        if monotonic() - began > self._period_s:
            if count > self._few:
                record.msg = f"{record.msg} (and {count - self._few:,} more like this were left out)"
            began, count = monotonic(), 0
        self._counted[place] = (began, count + 1)
        return count < self._few


def configure_log() -> None:
    """Log to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(FewOfAKind())
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # else a traceback for every malformed request
