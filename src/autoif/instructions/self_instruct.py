"""§3.2, instruction augmentation by self-instruct.

In:      the seeds.
Out:     seeds and rewrites, one of each meaning (a global step: it needs all of them).
Dropped: lines that are no instruction (`not_an_instruction`, `too_long`, `not_text`, `wrong_language`, `truncated`),
         that repeat the prompt (`copied`), duplicates (exact, normalised, near: with what they were folded into), and
         lines beyond the number asked for and instructions beyond `max_instructions` (`over_limit`). An answer without
         a line (`refused_by_model`, `only_reasoning`, `truncated`, `empty`) is recorded for the seed that it should
         have rewritten; the seed itself is kept.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence
from itertools import islice

from autoif.instructions.deduplication import STAGE, fold_duplicates
from autoif.instructions.json_reading import FENCE, find_json
from autoif.language import LATIN, WITHOUT_SPACES, count_non_text, count_scripts, has_foreign_script, main_scripts
from autoif.models.requests import Completion, Request, sampling_seed
from autoif.reading.lines import clean_line, is_layout
from autoif.records import Dropped, Instruction, Reason
from autoif.tools import Tools

_EXAMPLES_PER_CALL = 6
_TAGGED = re.compile(r"<(\w{1,30})>(.+)</\1>")
"""A line between tags, as in <instruction>Use no commas.</instruction>."""
_BLOCK = 256
"""Size of the blocks of seeds that are examples for each other. Drawing from all would get slower with their number."""
_IN_FLIGHT = 1_024
"""Seeds that are rewritten at the same time; the client limits the requests to the server."""


async def self_instruct(seeds: Sequence[Instruction], tools: Tools) -> tuple[list[Instruction], list[Dropped]]:
    """Ask the writer for rewrites of each seed, and fold instructions that say the same."""
    settings = tools.config.self_instruct
    order = await asyncio.to_thread(_by_hash, seeds, "seed", tools.config.seed)  # takes seconds for a million
    rewritten = order[: settings.seed_limit or None]
    scripts = await asyncio.to_thread(main_scripts, [seed.text for seed in seeds]) or LATIN
    blocks = [seeds[at : at + _BLOCK] for at in range(0, len(seeds), _BLOCK)]
    block_of = {seed.id: block for block in blocks for seed in block}
    answers: dict[str, list[Instruction | Dropped]] = {}
    waiting = iter(rewritten)

    async def work() -> None:
        for seed in waiting:
            answers[seed.id] = await _rewrite(seed, block_of[seed.id], scripts, tools)

    await asyncio.gather(*(work() for _ in rewritten[:_IN_FLIGHT]))
    lines = [line for seed in rewritten for line in answers[seed.id]]
    rewrites = [line for line in lines if isinstance(line, Instruction)]
    dropped = [line for line in lines if isinstance(line, Dropped)]
    kept, duplicates = await asyncio.to_thread(fold_duplicates, [*seeds, *rewrites], settings.near_duplicate)
    chosen, left = await asyncio.to_thread(_limit, kept, settings.max_instructions, tools.config.seed)
    over = [
        Dropped.of(STAGE, Reason.OVER_LIMIT, one, f"over max_instructions = {settings.max_instructions}")
        for one in left
    ]
    return chosen, [*dropped, *duplicates, *over]


async def _rewrite(
    seed: Instruction, block: Sequence[Instruction], scripts: frozenset[str], tools: Tools
) -> list[Instruction | Dropped]:
    """Return the lines that the writer gave for one seed, in order; those in other scripts are dropped."""
    settings, prompt = tools.config.self_instruct, tools.config.prompts.self_instruct
    lines: list[Instruction | Dropped] = []
    calls = -(-settings.rewrites_per_seed // settings.rewrites_per_call)
    for call in range(calls):
        count = min(settings.rewrites_per_call, settings.rewrites_per_seed - call * settings.rewrites_per_call)
        others = (one for one in _by_hash(block, [seed.id, call], tools.config.seed) if one.id != seed.id)
        examples = "\n".join(one.text for one in [seed, *islice(others, _EXAMPLES_PER_CALL - 1)])
        [completion] = await tools.chat.sample(
            Request(
                role="writer",
                stage=STAGE,
                messages=prompt.fill(examples=examples, count=count),
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                seed=sampling_seed(tools.config.seed, STAGE, seed.id, call),
            )
        )
        if completion.fault and not completion.text.strip():
            lines.append(Dropped.of(STAGE, completion.fault, seed, f"its rewrites: {completion.fault_detail}"))
        else:
            prompt_shape = _shape("\n".join(text for _, text in prompt.fill(examples="", count=count)))
            lines += _read_lines(completion, count, prompt_shape, settings.max_chars, scripts)
    return lines


def _read_lines(
    completion: Completion, count: int, prompt_shape: str, max_chars: int, scripts: frozenset[str]
) -> list[Instruction | Dropped]:
    """Return the lines of an answer, markers and wrapping removed: `count` instructions at most.

    `prompt_shape` is the `_shape` of the prompt without its examples.
    """
    lines = _cut_lines(completion.text)
    results: list[Instruction | Dropped] = []
    found = 0
    for number, line in enumerate(lines, start=1):
        instruction = Instruction.of(line, "self_instruct")
        if completion.finish_reason == "length" and number == len(lines):
            results.append(Dropped.of(STAGE, Reason.TRUNCATED, instruction, completion.fault_detail))
        elif found == count:
            results.append(Dropped.of(STAGE, Reason.OVER_LIMIT, instruction, f"{count} were asked for"))
        elif reason := _fault(line, prompt_shape, max_chars, scripts):
            results.append(Dropped.of(STAGE, reason, instruction, line[:200]))
        else:
            found += 1
            results.append(instruction)
    return results


def _cut_lines(text: str) -> list[str]:
    """Return the lines of an answer without markers; for a JSON list, as some models write unasked, its texts."""
    fence = FENCE.search(text)
    inside = (fence[2] if fence else text).lstrip()
    is_list = inside.startswith(("[", "{"))
    found = find_json(inside, lambda value: len(_list_texts(value)) > 1) if is_list else None
    written = _list_texts(found[0]) if found else text.splitlines()
    lines = (clean_line(line) for each in written for line in each.splitlines() if line.strip())
    return [clean_line(tagged[2]) if (tagged := _TAGGED.fullmatch(line)) else line for line in lines]


def _list_texts(value: object) -> list[str]:
    """Return the texts of a list, or of objects in it; none of anything else."""
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        return _list_texts(lists[0]) if len(lists) == 1 else []
    if not isinstance(value, list):
        return []
    texts = [next((text for text in each.values() if isinstance(text, str)), "") if isinstance(each, dict) else each
             for each in value]  # fmt: skip
    return [text for text in texts if text] if all(isinstance(text, str) for text in texts) else []


def _shape(text: str) -> str:
    """Return the words of a text in lower case, without its numbers: the form in which copies are recognised."""
    return " ".join("".join(letter if letter.isalpha() else " " for letter in text.casefold()).split())


def _fault(line: str, prompt_shape: str, max_chars: int, scripts: frozenset[str]) -> Reason | None:
    if len(line) > max_chars:
        return Reason.TOO_LONG
    if count_non_text(line):
        return Reason.NOT_TEXT
    if has_foreign_script(line, scripts):
        return Reason.WRONG_LANGUAGE
    if (
        _is_too_short(line)
        or line.endswith((":", "：", "…", "..."))
        or line.startswith(("{", '["', "[{"))
        or is_layout(line)
    ):
        return Reason.NOT_AN_INSTRUCTION
    if (shape := _shape(line)) and shape in prompt_shape:
        return Reason.COPIED
    return None


def _is_too_short(line: str) -> bool:
    """Tell a heading from a sentence: under three words, or five letters of a script that doesn't space its words."""
    counts = count_scripts(line)
    return len(line.split()) < 3 and sum(counts[script] for script in WITHOUT_SPACES) < 5


def _limit(instructions: list[Instruction], limit: int, seed: int) -> tuple[list[Instruction], list[Instruction]]:
    """Split into `limit` instructions (0: all), as many rewrites as seeds if possible, and the rest, in input order."""
    if not limit or len(instructions) <= limit:
        return instructions, []
    order = _by_hash(instructions, "limit", seed)
    rewrites = [one for one in order if one.origin == "self_instruct"]
    seeds = [one for one in order if one.origin == "seed"]
    wanted_rewrites = max(min(len(rewrites), -(-limit // 2)), limit - len(seeds))
    chosen = {one.id for one in [*rewrites[:wanted_rewrites], *seeds[: limit - wanted_rewrites]]}
    return [one for one in instructions if one.id in chosen], [one for one in instructions if one.id not in chosen]


def _by_hash(instructions: Sequence[Instruction], purpose: object, seed: int) -> list[Instruction]:
    """Return the instructions in an order that looks random and is always the same."""
    # As `content_id`, with the common beginning hashed once.
    common = hashlib.sha256(f"[{seed},{json.dumps(str(purpose))},".encode("ascii"))

    def digest(one: Instruction) -> bytes:
        whole = common.copy()
        whole.update(f'"{one.id}"]'.encode("ascii"))
        return whole.digest()

    return sorted(instructions, key=digest)
