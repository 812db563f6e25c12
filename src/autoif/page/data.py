"""Reads a run folder as the data of its page: instructions, responses and pairs, each once, with its outcome.

In:   the files of a run, complete or not.
Out:  `RunData`: lines for the tables, and the whole records as JSON texts, which the page opens one by one.

A record is in the files of several stages; the page shows it as the last one left it. Records stay JSON texts in
memory: ten thousand instructions and two hundred thousand responses take half a gigabyte.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoif.decisions import find_pair_id
from autoif.reading.json_text import load_json
from autoif.reading.jsonl import read_json_lines
from autoif.runs import store
from autoif.runs.contents import naming_damage, naming_damaged_audit, read_audit, read_records, refuse_gaps
from autoif.thresholds import share

_ID = re.compile(rb'"id": "([0-9a-f]{16})"')
_SETTLED = ("answers", "repairs", "rulings", "settled")
"""Fields of a draft that later records of its instruction don't have."""

_KINDS = (
    ("format of data", r"\b(json|xml|yaml|csv|markdown|html|latex)\b"),
    ("language", r"\b(in|into) (english|french|german|spanish|italian|chinese|japanese|russian|arabic|hindi|latin)\b"),
    ("beginning and end", r"\b(start|begin|end|finish|conclude|first word|last word|opening|closing|prefix|suffix)"),
    ("lists and layout", r"\b(bullet|list|paragraph|heading|title|section|line|table|indent|numbered|separat|row)"),
    ("letter case", r"\b(upper|lower|capital|title)[ -]?(case|letter|ise|ize)?|\ball caps\b"),
    ("punctuation and signs", r"\b(comma|period|full stop|punctuation|semicolon|colon|hyphen|dash|quot|exclamation|"
     r"question mark|symbol|emoji|asterisk|parenthes|bracket|character|letter)"),
    ("length", r"\b(at least|at most|exactly|fewer|less than|more than|between|no more|maximum|minimum|limit|within|"
     r"short|long|length|brief)\b|\b\d+[ -](words?|sentences?)\b"),
    ("words to use or avoid", r"\b(word|phrase|keyword|mention|include|avoid|use|contain|without|repeat)"),
    ("numbers", r"\b(number|digit|numeral)"),
)  # fmt: skip
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _KINDS)
"""Patterns for the kind of an instruction's constraint; the first match counts. Only for sorting and counting."""
_READ_CHARACTERS = 2_000


@dataclass(slots=True)
class InstructionLine:
    """A line of the table of instructions."""

    id: str
    text: str
    origin: str
    stage: int
    """Index in FOLDERS of the last stage that it reached."""
    reason: str = ""
    """Why that stage dropped it; "" if it was kept."""
    detail: str = ""
    kind: str = ""
    written: int = 0
    """Functions that were written."""
    functions: int = 0
    """Functions that were kept."""
    cases: int = 0
    """Cases that were kept."""
    agreement: float | None = None
    """The share of verdicts of all functions on all cases that are the expected ones, 0 to 1."""
    responses: int = 0
    passed: int = 0
    """Responses that were kept to the end."""
    pass_rate: float | None = None
    """The mean pass rate of its judged responses, 0 to 1."""
    findings: tuple[str, ...] = ()


@dataclass(slots=True)
class PromptLine:
    """A prompt, with the indices of its instructions among the lines."""

    id: str
    instructions: tuple[int, ...]
    query: str


@dataclass(slots=True)
class ResponseColumns:
    """Columns with one value for each of `RunData.responses`; columns save memory, as there may be very many."""

    prompt: list[int] = field(default_factory=list)
    """Index of the prompt, -1 if it isn't known."""
    stage: list[int] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)
    pass_rate: list[float | None] = field(default_factory=list)
    quality: list[float | None] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)


@dataclass(slots=True)
class RunData:
    """The records of a run's page."""

    instructions: list[InstructionLine] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    """A JSON object for each line of `instructions`: {"record", "draft", "audit"}."""
    prompts: list[PromptLine] = field(default_factory=list)
    columns: ResponseColumns = field(default_factory=ResponseColumns)
    responses: list[bytes] = field(default_factory=list)
    """A JSON object each: {"id", "text", "verdicts", "quality", "detail", "prompt_id"}."""
    pairs: list[bytes] = field(default_factory=list)
    """Rows of preferences.jsonl, each with its content id as "id"."""
    others: list[dict[str, Any]] = field(default_factory=list)
    """Drops without a record: {"stage", "reason", "id", "detail"}."""

    @property
    def rows(self) -> int:
        return len(self.instructions) + len(self.responses) + len(self.pairs) + len(self.prompts)

    def find_functions(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the index of the instruction that has each of these functions, by the function's id."""
        wanted, found = {each.encode("utf-8", "replace") for each in ids}, dict[str, int]()
        for place, record in enumerate(self.records):
            found |= {each.decode(): place for each in wanted.intersection(_ID.findall(record))}
        return found


def read_data(run: Path) -> RunData:
    """Return a run's instructions, prompts, responses and pairs.

    Raises:
        StoreError: a file is missing, damaged, changed, or of another version.
    """
    refuse_gaps(run)
    data = RunData()
    with naming_damage(run):
        known = _read_instructions(run, data)
        by_id = _read_prompts(run, data, known)
        _read_responses(run, data, by_id)
        _count_responses(data)
        if (run / store.PREFERENCES).exists():
            with store.reading_errors(run / store.PREFERENCES):
                data.pairs = [_name_pair(line) for _, line in read_json_lines(run / store.PREFERENCES)]
    return data


def _read_instructions(run: Path, data: RunData) -> dict[str, int]:
    """Read instructions from the last stage to the first; return the indices of verified ones by their id."""
    audits = _read_audits(run)
    places: dict[str, int] = {}
    verified: dict[str, int] = {}
    drafts: dict[int, str] = {}
    for folder in (store.BACK_TRANSLATION, store.CROSS_VALIDATION, store.VERIFICATION, store.SELF_INSTRUCT):
        for record, reason, detail in _read_stage(run, folder, data):
            instruction = record.get("instruction", record)
            place = places.get(instruction["id"])
            # An exact duplicate has the id of the instruction that was kept, and gets a line of its own.
            repeated = bool(reason) and folder == store.SELF_INSTRUCT
            if place is None or repeated:
                place = len(data.instructions)
                if not repeated:
                    places[instruction["id"]] = place
                line = _make_line(record, store.FOLDERS.index(folder), reason, detail)
                audit = None if repeated else audits.get(line.id)
                line.findings = _list_findings(audit)
                data.instructions.append(line)
                data.records.append(json.dumps({"record": record, "audit": audit}).encode("ascii"))
                if folder == store.BACK_TRANSLATION:
                    verified[record["id"]] = place
            if folder == store.VERIFICATION:
                drafts[place] = json.dumps({name: record[name] for name in _SETTLED if name in record})
    for place, draft in drafts.items():
        data.records[place] = data.records[place][:-1] + f', "draft": {draft}}}'.encode("ascii")
    return verified


def _read_stage(run: Path, folder: str, data: RunData) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield (record, reason, detail) of a stage, with "" for kept records; add drops without one to `data.others`."""
    for each in read_records(run, folder):
        if each.record is not None:
            yield each.record, each.reason, each.detail
        else:
            data.others.append(
                {"stage": store.FOLDERS.index(folder), "reason": each.reason, "id": each.id, "detail": each.detail}
            )


def _make_line(record: dict[str, Any], stage: int, reason: str, detail: str) -> InstructionLine:
    instruction = record.get("instruction", record)
    line = InstructionLine(instruction["id"], instruction["text"], instruction["origin"], stage, reason, detail)
    line.kind = find_kind_of_constraint(line.text)
    if matrix := record.get("matrix"):
        line.written = len(matrix["functions"])
        line.functions = len(record.get("kept_functions", ()))
        line.cases = len(record.get("kept_cases", ()))
        line.agreement = _measure_agreement(matrix)
    return line


def find_kind_of_constraint(text: str) -> str:
    return next((name for name, pattern in _PATTERNS if pattern.search(text, 0, _READ_CHARACTERS)), "other")


def _measure_agreement(matrix: dict[str, Any]) -> float | None:
    wanted = ["pass" if case["expected"] else "fail" for case in matrix["cases"]]
    verdicts = [pair for row in matrix["verdicts"] for pair in zip(row, wanted, strict=True)]
    return float(share(sum(said == right for said, right in verdicts), len(verdicts))) if verdicts else None


def _read_audits(run: Path) -> dict[str, dict[str, Any]]:
    """Return the findings of `autoif audit` by the instruction's id; {} if there is no audit."""
    audit = read_audit(run)
    with naming_damaged_audit(run):
        found = audit["findings"]["instructions"] if audit is not None else []
        return {each["instruction_id"]: each for each in found}


def _list_findings(audit: dict[str, Any] | None) -> tuple[str, ...]:
    if not audit:
        return ()
    kept = (function for function in audit["functions"] if function["kept"])
    found = [*audit["findings"], *(finding for function in kept for finding in function["findings"])]
    return tuple(dict.fromkeys(finding["reason"] for finding in found))


def _read_prompts(run: Path, data: RunData, known: dict[str, int]) -> dict[str, int]:
    """Read the prompts that augmentation kept; return their indices by id."""
    by_id = {}
    for row, _, _ in _read_stage(run, store.AUGMENTATION, data):
        by_id[row["id"]] = len(data.prompts)
        places = tuple(known[id] for id in row["constraints"] if id in known)
        data.prompts.append(PromptLine(row["id"], places, row["query"]["text"]))
    return by_id


def _read_responses(run: Path, data: RunData, by_id: dict[str, int]) -> None:
    """Read responses from the last stage to the first, and group them by instruction."""
    seen: set[str] = set()
    found: list[tuple[int, int, int, str, float | None, float | None, int, bytes]] = []
    for folder in (store.SCORING, store.REJECTION_SAMPLING):
        for row, reason, detail in _read_stage(run, folder, data):
            if row["id"] in seen:
                continue
            seen.add(row["id"])
            prompt = by_id.get(row["prompt"], -1)
            instructions = data.prompts[prompt].instructions if prompt >= 0 else ()
            whole = {"id": row["id"], "text": row["text"], "verdicts": row["verdicts"], "quality": row["quality"]}
            whole |= {"detail": detail} if detail else {}
            mean = row["quality"]["mean"] if row["quality"] else None
            rate = row["pass_rate"] if row["verdicts"] else None  # a truncated one was never judged
            place = instructions[0] if instructions else len(data.instructions)
            stage = store.FOLDERS.index(folder)
            packed = json.dumps(whole).encode("ascii")
            found.append((place, prompt, stage, reason, rate, mean, len(row["text"]), packed))
    found.sort(key=lambda each: each[:2])
    columns = data.columns
    for _, prompt, stage, reason, pass_rate, mean, characters, packed in found:
        columns.prompt.append(prompt)
        columns.stage.append(stage)
        columns.reason.append(reason)
        columns.pass_rate.append(pass_rate)
        columns.quality.append(mean)
        columns.characters.append(characters)
        data.responses.append(packed)


def _name_pair(line: str) -> bytes:
    """Return a row of preferences.jsonl with its content id."""
    row = load_json(line)
    name = find_pair_id(*(row[side][-1]["content"] for side in ("prompt", "chosen", "rejected")))
    return f'{{"id": "{name}", {line.strip()[1:]}'.encode()


def _count_responses(data: RunData) -> None:
    """Set each instruction's numbers of responses and of those kept to the end, and its pass rate."""
    last = store.FOLDERS.index(store.SCORING)
    judged, rates = Counter[int](), defaultdict[int, float](float)
    columns = data.columns
    for prompt, stage, reason, rate in zip(
        columns.prompt, columns.stage, columns.reason, columns.pass_rate, strict=True
    ):
        for place in data.prompts[prompt].instructions if prompt >= 0 else ():
            line = data.instructions[place]
            line.responses += 1
            line.passed += stage == last and not reason
            if rate is not None:
                judged[place] += 1
                rates[place] += rate
    for place, total in rates.items():
        data.instructions[place].pass_rate = total / judged[place]
