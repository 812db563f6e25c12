"""Instruction augmentation (§3.2): lines become instructions, each meaning once, the rest dropped with a reason."""

import asyncio
import threading
import time

import pytest

from autoif.instructions import self_instruct as module
from autoif.instructions.self_instruct import self_instruct
from autoif.models.requests import Completion
from autoif.records import Dropped, Instruction, Reason
from conftest import MakeTools
from support.scripted import ScriptedChat

SEEDS = [
    Instruction.of(text, "seed") for text in ("Use the word 'tea'.", "Write in lowercase.", "End with a question.")
]


def unique_lines(request: object, index: int) -> str:
    seed = request.seed
    return "\n".join(f"Use the word 'w{seed}x{number}'." for number in range(10))


async def run(
    make_tools: MakeTools, answer: str | Completion, *settings: str
) -> tuple[list[Instruction], list[Dropped], ScriptedChat]:
    """Rewrite one seed with this answer; return what is kept, what is dropped, and the chat."""
    chat = ScriptedChat(("", [answer]))
    kept, dropped = await self_instruct(SEEDS, make_tools("self_instruct.seed_limit=1", *settings, chat=chat))
    return kept, dropped, chat


async def test_seeds_come_first_and_rewrites_after_them(make_tools: MakeTools) -> None:
    kept, dropped, _ = await run(make_tools, "Use four commas.\nWrite one line only.")
    assert [one.text for one in kept] == [*(seed.text for seed in SEEDS), "Use four commas.", "Write one line only."]
    assert [one.origin for one in kept] == ["seed"] * 3 + ["self_instruct"] * 2
    assert {one.reason for one in dropped} == {Reason.DUPLICATE_EXACT}  # the second call's answer


@pytest.mark.parametrize(
    "line",
    [
        "1. Use four commas.",
        "12) Use four commas.",
        "(3) Use four commas.",
        "- Use four commas.",
        "* Use four commas.",
        "• Use four commas.",
        "## Use four commas.",
        "**Use four commas**.",
        "**Use four commas.**",
        '"Use four commas."',
        "“Use four commas.”",
        "1. **Use four commas.**",
        "  Use four commas.  ",
    ],
)
async def test_markers_and_wrapping_are_no_part_of_an_instruction(make_tools: MakeTools, line: str) -> None:
    kept, _, _ = await run(make_tools, line)
    assert kept[-1].text == "Use four commas."


@pytest.mark.parametrize(
    "answer",
    [
        '["Use four commas.", "Write one line only."]',
        '```json\n[\n  "Use four commas.",\n  "Write one line only."\n]\n```',
        'Here they are:\n```json\n{"instructions": ["Use four commas.", "Write one line only."]}\n```\nEnjoy!',
        '[{"instruction": "Use four commas."}, {"instruction": "Write one line only."}]',
        "[{'instruction': 'Use four commas.'}, {'instruction': 'Write one line only.'}]",
        "<instruction>Use four commas.</instruction>\n<instruction>Write one line only.</instruction>",
    ],
)
async def test_a_list_in_another_form_than_lines_is_one(make_tools: MakeTools, answer: str) -> None:
    kept, _, _ = await run(make_tools, answer)
    assert [one.text for one in kept[3:]] == ["Use four commas.", "Write one line only."]


async def test_an_instruction_may_show_a_list(make_tools: MakeTools) -> None:
    lines = ['Answer with a list such as ["one", "two"].', 'Write JSON like {"steps": ["one", "two"]} and no more.']
    kept, _, _ = await run(make_tools, "\n".join(lines))
    assert [one.text for one in kept[3:]] == lines


async def test_quotes_that_belong_to_an_instruction_stay(make_tools: MakeTools) -> None:
    lines = [
        '"Sure" must be the first word, and the last one must be "Bye".',
        'Begin with "Dear" and end with "Yours".',
        "3 words are enough.",
        "**Bold** words: use three.",
        "Use 50\u00a0% fewer words and one 👩\u200d🚀.",
    ]
    kept, _, _ = await run(make_tools, "\n".join(lines))
    assert [one.text for one in kept[3:]] == lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Use commas " + "and more " * 30, Reason.TOO_LONG),
        ("x" * 100_000, Reason.TOO_LONG),
        ("Use the \x07 bell.", Reason.NOT_TEXT),
        ("请 用 三个 单词 回答。", Reason.WRONG_LANGUAGE),
        ("Here are the rules:", Reason.NOT_AN_INSTRUCTION),
        ("And so on and on...", Reason.NOT_AN_INSTRUCTION),
        ("And so on and on…", Reason.NOT_AN_INSTRUCTION),
        ("Use commas.", Reason.NOT_AN_INSTRUCTION),
        ("```python and so on", Reason.NOT_AN_INSTRUCTION),
        ('{"rule": "use four commas"}', Reason.NOT_AN_INSTRUCTION),
        ("| rule | number | text |", Reason.NOT_AN_INSTRUCTION),
        ("Write 7 new rules, in the language of these examples.", Reason.COPIED),  # the writer was told so, of 100
        ("use the word 'tea'", Reason.DUPLICATE_NORMALISED),
        ("Use the word 'tea'.", Reason.DUPLICATE_EXACT),
        ("Write it in lowercase.", Reason.DUPLICATE_NEAR),
    ],
)
async def test_each_reason_to_drop_a_line(make_tools: MakeTools, line: str, reason: Reason) -> None:
    kept, dropped, _ = await run(
        make_tools, line, "self_instruct.rewrites_per_call=100", "self_instruct.near_duplicate=80"
    )
    assert kept == SEEDS
    assert [one.reason for one in dropped] == [reason]
    assert dropped[0].stage == "self_instruct"
    assert dropped[0].detail


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ("\n\n", Reason.EMPTY, "an empty answer"),
        (Completion("", "refused", detail="balance too low"), Reason.REFUSED_BY_MODEL, "balance too low"),
        (Completion("", "refused"), Reason.REFUSED_BY_MODEL, "refused without a reason"),
        (Completion("", "stop", reasoning="Hm."), Reason.ONLY_REASONING, "a thought of 3 characters"),
        (Completion("", "length", reasoning="Hm."), Reason.TRUNCATED, "cut off at max_tokens, in its thought"),
    ],
)
async def test_an_answer_without_lines_leaves_the_seeds_and_a_reason(
    make_tools: MakeTools, answer: str | Completion, reason: Reason, words: str
) -> None:
    kept, dropped, _ = await run(make_tools, answer, "self_instruct.rewrites_per_call=100")
    assert kept == SEEDS
    [one] = dropped
    assert one.reason is reason
    assert words in one.detail
    assert one.record_id in {seed.id for seed in SEEDS}


@pytest.mark.parametrize(
    ("seed", "line"),
    [
        ("Ответьте ровно тремя словами.", "Начните ответ с буквы «Д»."),
        ("用三个词回答。", "不要使用逗号和句号。"),
        ("三つの単語で答えてください。", "「はい」で始めてください。"),
        ("세 단어로만 답하세요.", "쉼표를 절대 쓰지 마세요."),
        ("أجب بثلاث كلمات فقط.", "لا تستخدم أي فاصلة."),
        ("Antworte mit genau drei Wörtern.", "Beginne jede Zeile mit „Ä“."),
    ],
)
async def test_seeds_in_another_language_are_followed_in_that_language(
    make_tools: MakeTools, seed: str, line: str
) -> None:
    chat = ScriptedChat(("", [f"1. {line}\n2. कृपया तीन शब्दों में उत्तर दें।\n3. Use four commas."]))
    tools = make_tools("self_instruct.rewrites_per_call=100", chat=chat)
    kept, dropped = await self_instruct([Instruction.of(seed, "seed")], tools)
    assert [one.text for one in kept[:2]] == [seed, line]
    wrong = [one.record.text for one in dropped if one.reason is Reason.WRONG_LANGUAGE]
    latin = seed.startswith("Antworte")
    assert wrong == ["कृपया तीन शब्दों में उत्तर दें।", *([] if latin else ["Use four commas."])]


@pytest.mark.parametrize(("length", "kept"), [(200, True), (201, False)])
async def test_an_instruction_may_have_max_chars(make_tools: MakeTools, length: int, kept: bool) -> None:
    line = ("Use the word " + "a" * 300)[:length]
    found, dropped, _ = await run(make_tools, line, "self_instruct.rewrites_per_call=100")
    assert (len(found) == 4) is kept
    assert [one.reason for one in dropped] == ([] if kept else [Reason.TOO_LONG])


async def test_a_line_that_was_cut_off_is_left_out(make_tools: MakeTools) -> None:
    kept, dropped, _ = await run(
        make_tools, Completion("Use four commas.\nWrite one li", "length"), "self_instruct.rewrites_per_call=100"
    )
    assert [one.text for one in kept[3:]] == ["Use four commas."]
    assert [(one.reason, one.record.text) for one in dropped] == [(Reason.TRUNCATED, "Write one li")]


async def test_lines_beyond_those_that_were_asked_for_are_dropped_and_counted(make_tools: MakeTools) -> None:
    settings = ("self_instruct.rewrites_per_seed=2", "self_instruct.rewrites_per_call=2")
    kept, dropped, _ = await run(make_tools, "Use four commas.\nUse five commas.\nUse six commas.", *settings)
    assert [one.text for one in kept[3:]] == ["Use four commas.", "Use five commas."]
    assert [(one.reason, one.detail) for one in dropped] == [(Reason.OVER_LIMIT, "2 were asked for")]


async def test_what_is_no_instruction_takes_the_place_of_none(make_tools: MakeTools) -> None:
    settings = ("self_instruct.rewrites_per_seed=2", "self_instruct.rewrites_per_call=2")
    answer = "Here are two new rules:\n\n```\nUse four commas.\nUse five commas.\n```\nThey are easy to check."
    kept, dropped, _ = await run(make_tools, answer, *settings)
    assert [one.text for one in kept[3:]] == ["Use four commas.", "Use five commas."]
    assert [one.reason for one in dropped] == [Reason.NOT_AN_INSTRUCTION] * 2 + [Reason.OVER_LIMIT] * 2


@pytest.mark.parametrize(
    ("per_seed", "per_call", "counts"), [(100, 50, [50, 50]), (5, 2, [2, 2, 1]), (4, 4, [4]), (3, 50, [3]), (0, 50, [])]
)
async def test_a_seed_is_rewritten_in_as_many_calls_as_it_takes(
    make_tools: MakeTools, per_seed: int, per_call: int, counts: list[int]
) -> None:
    chat = ScriptedChat(unique_lines)
    settings = (f"self_instruct.rewrites_per_seed={per_seed}", f"self_instruct.rewrites_per_call={per_call}")
    kept, _ = await self_instruct(SEEDS, make_tools(*settings, chat=chat))
    asked = [request.messages[1][1] for request in chat.requests]
    assert len(asked) == 3 * len(counts)
    assert [f"Write {count} new rules" in text for count, text in zip(counts * 3, asked, strict=True)] == [True] * len(
        asked
    )
    assert len(kept) == 3 + 3 * sum(min(count, 10) for count in counts)
    assert len({request.seed for request in chat.requests}) == len(asked)


async def test_the_seed_is_the_first_of_the_examples(make_tools: MakeTools) -> None:
    _, _, chat = await run(make_tools, "Use four commas.", "self_instruct.rewrites_per_call=100")
    [request] = chat.requests
    assert (request.role, request.stage, request.temperature) == ("writer", "self_instruct", 1.0)
    rules = request.messages[1][1].split("\n")[1:4]
    assert sorted(rules) == sorted(seed.text for seed in SEEDS)
    with_one_seed = ScriptedChat(("", ["Use four commas."]))
    await self_instruct(SEEDS[:1], make_tools("self_instruct.rewrites_per_seed=1", chat=with_one_seed))
    assert with_one_seed.requests[0].messages[1][1].count("\nUse the word 'tea'.\n") == 1


@pytest.mark.parametrize(
    ("limit", "seeds", "rewrites"),
    [(0, 3, 30), (33, 3, 30), (100, 3, 30), (4, 2, 2), (5, 2, 3), (20, 3, 17), (1, 0, 1)],
)
async def test_max_instructions_takes_seeds_and_rewrites_in_turn(
    make_tools: MakeTools, limit: int, seeds: int, rewrites: int
) -> None:
    settings = ("self_instruct.rewrites_per_seed=10", f"self_instruct.max_instructions={limit}")
    kept, dropped = await self_instruct(SEEDS, make_tools(*settings, chat=ScriptedChat(unique_lines)))
    assert [one.origin for one in kept] == ["seed"] * seeds + ["self_instruct"] * rewrites
    assert len(dropped) == 33 - len(kept)
    assert all((one.reason, one.detail) == (Reason.OVER_LIMIT, f"over max_instructions = {limit}") for one in dropped)


async def test_with_few_rewrites_the_limit_is_filled_with_seeds(make_tools: MakeTools) -> None:
    kept, _, _ = await run(make_tools, "Use four commas.", "self_instruct.max_instructions=3")
    assert sorted(one.origin for one in kept) == ["seed", "seed", "self_instruct"]


async def test_another_run_seed_rewrites_other_seeds_the_same_one_the_same(make_tools: MakeTools) -> None:
    seeds = [Instruction.of(f"Use the word 'a{number}'.", "seed") for number in range(20)]
    asked = []
    for seed in (0, 0, 1):
        chat = ScriptedChat(unique_lines)
        await self_instruct(seeds, make_tools(f"seed={seed}", "self_instruct.seed_limit=3", chat=chat))
        asked.append([request.messages[1][1].split("\n")[1] for request in chat.requests])
    assert asked[0] == asked[1] != asked[2]
    assert len(set(asked[0])) == 3


async def test_ten_times_the_seeds_take_ten_times_as_long(make_tools: MakeTools) -> None:
    async def measure(count: int) -> float:
        seeds = [Instruction.of(f"Use the word 'w{number}'.", "seed") for number in range(count)]
        tools = make_tools("self_instruct.rewrites_per_seed=1", chat=ScriptedChat(unique_lines))
        started = time.process_time()
        await self_instruct(seeds, tools)
        return time.process_time() - started

    assert await measure(3_000) <= 20 * await measure(300)


@pytest.mark.parametrize("part", ["fold_duplicates", "main_scripts", "_by_hash", "_limit"])
async def test_what_takes_long_for_many_seeds_does_not_stop_the_event_loop(
    make_tools: MakeTools, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    went_on, work = threading.Event(), getattr(module, part)

    def wait(*given: object) -> object:
        assert went_on.wait(5)
        return work(*given)

    monkeypatch.setattr(module, part, wait)
    asyncio.get_running_loop().call_later(0.05, went_on.set)
    tools = make_tools("self_instruct.rewrites_per_seed=0", chat=ScriptedChat(unique_lines))
    kept, _ = await self_instruct([Instruction.of("Use the word 'tea'.", "seed")], tools)
    assert len(kept) == 1
    assert went_on.is_set()
