"""Back-translation and NLI (§3.2): which functions are asked about, and which labels drop an instruction."""

import pytest

from autoif.instructions.back_translation import back_translate
from autoif.models.nli import Label
from autoif.models.requests import Completion
from autoif.records import Dropped, Reason, VerifiedInstruction
from autoif.vocabulary import carry
from conftest import MakeTools, ScriptedNli
from support.records import ACCEPT, accepts, verified
from support.scripted import ScriptedChat

LABELS: dict[str, Label] = {"same": "entailment", "other": "neutral", "against": "contradiction"}


def says(*words: str) -> ScriptedChat:
    """Return a chat that describes the function that looks for "0" by the first of these words, and so on."""
    return ScriptedChat(
        *[(f"{str(number)!r} in response", [f"The text is {word}."]) for number, word in enumerate(words)]
    )


def functions(count: int) -> VerifiedInstruction:
    return verified([accepts(str(number)) for number in range(count)])


async def test_each_function_gets_its_words_and_their_label(make_tools: MakeTools) -> None:
    nli = ScriptedNli(LABELS)
    record = functions(2)
    [result] = await back_translate(record, make_tools(chat=says("same", "other"), nli=nli))
    assert isinstance(result, VerifiedInstruction)
    first, second = result.back_translations
    assert (first.function_id, first.text, first.label) == (record.functions[0].id, "The text is same.", "entailment")
    assert (second.label, second.score, second.source) == ("neutral", 0.9, "script")
    assert result.model_copy(update={"back_translations": ()}) == record


async def test_the_instruction_is_the_premise(make_tools: MakeTools) -> None:
    nli = ScriptedNli(LABELS)
    await back_translate(functions(1), make_tools(chat=says("same"), nli=nli))
    assert nli.pairs == [("Use the word 'tea'.", "The text is same.")]


@pytest.mark.parametrize(
    ("words", "threshold", "dropped"),
    [
        (("same", "other", "other"), "> 0", False),
        (("same", "same", "against"), "> 0", True),
        (("against", "same"), "> 0.5", False),
        (("against", "against", "same"), "> 0.5", True),
        (("against", "same"), ">= 0.5", True),
    ],
)
async def test_an_instruction_goes_with_enough_contradictions(
    make_tools: MakeTools, words: tuple[str, ...], threshold: str, dropped: bool
) -> None:
    tools = make_tools(
        f"back_translation.dropped_contradictions={threshold}", chat=says(*words), nli=ScriptedNli(LABELS)
    )
    [result] = await back_translate(functions(len(words)), tools)
    assert isinstance(result, Dropped) is dropped


@pytest.mark.parametrize(
    ("source", "dropped"), [("chat/logprobs", False), ("chat/word", False), ("a/classifier", True)]
)
async def test_where_a_language_model_labels_another_share_may_drop_an_instruction(
    make_tools: MakeTools, source: str, dropped: bool
) -> None:
    tools = make_tools(
        "back_translation.dropped_by_chat=> 0.5", chat=says("against", "same"), nli=ScriptedNli(LABELS, source)
    )
    [result] = await back_translate(functions(2), tools)
    assert isinstance(result, Dropped) is dropped


async def test_what_is_dropped_names_the_first_contradiction_and_keeps_all_labels(make_tools: MakeTools) -> None:
    tools = make_tools(chat=says("same", "against", "against"), nli=ScriptedNli(LABELS))
    record = functions(3)
    [result] = await back_translate(record, tools)
    assert isinstance(result, Dropped)
    assert (result.stage, result.reason, result.record_id) == (
        "back_translation",
        Reason.CONTRADICTION,
        record.instruction.id,
    )
    assert result.detail == "2 of 3 back-translations, first: The text is against."
    labels = [each.label for each in result.record.back_translations]
    assert labels == ["entailment", "contradiction", "contradiction"]


@pytest.mark.parametrize(("preset", "asked", "dropped"), [("paper", 4, True), ("released", 3, False)])
async def test_the_released_code_asks_about_three_functions_and_the_paper_about_all(
    make_tools: MakeTools, preset: str, asked: int, dropped: bool
) -> None:
    chat = says("same", "same", "same", "against")
    [result] = await back_translate(functions(4), make_tools(preset=preset, chat=chat, nli=ScriptedNli(LABELS)))
    assert len(chat.requests) == asked
    assert isinstance(result, Dropped) is dropped


@pytest.mark.parametrize(("preset", "turns"), [("paper", 2), ("quickstart", 8)])
async def test_the_writer_sees_the_source_alone_and_in_quickstart_examples_before_it(
    make_tools: MakeTools, preset: str, turns: int
) -> None:
    chat = says("same")
    await back_translate(functions(1), make_tools(preset=preset, chat=chat, nli=ScriptedNli(LABELS)))
    [request] = chat.requests
    assert (request.role, request.stage, request.temperature, request.samples) == ("writer", "back_translation", 0, 1)
    assert request.messages[0][0] == "system"
    assert request.messages[-1] == ("user", accepts("0"))
    assert len(request.messages) == turns


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Use no comma.", "Use no comma."),
        ("\n\n  'Use no comma.'  \nIt counts them.", "Use no comma."),
        ("**Use no comma.**", "Use no comma."),
        ("```\nUse no comma.\n```", "Use no comma."),
        ("Sure! Here is the instruction:\n\nUse no comma.", "Use no comma."),
        ("**Instruction:** Use no comma.", "Use no comma."),
        ("Rule: Use no comma.", "Use no comma."),
        ("- Use no comma.", "Use no comma."),
        ("Use no comma, and begin with this:", "Use no comma, and begin with this:"),
    ],
)
async def test_an_answer_is_read_up_to_its_first_line(make_tools: MakeTools, written: str, read: str) -> None:
    nli = ScriptedNli({"": "neutral"})
    await back_translate(verified([ACCEPT]), make_tools(chat=ScriptedChat(("", [written])), nli=nli))
    assert [hypothesis for _, hypothesis in nli.pairs] == [read]


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ("", Reason.EMPTY, "an empty answer"),
        ("***", Reason.EMPTY, "an empty answer"),
        (
            Completion("I can't.", "refused", detail="code is not allowed"),
            Reason.REFUSED_BY_MODEL,
            "code is not allowed",
        ),
        (Completion("", "stop", reasoning="Hm."), Reason.ONLY_REASONING, "a thought of 3 characters"),
        (Completion("", "length", reasoning="Hm."), Reason.TRUNCATED, "in its thought"),
    ],
)
async def test_an_instruction_none_of_whose_functions_was_described_is_dropped(
    make_tools: MakeTools, answer: str | Completion, reason: Reason, words: str
) -> None:
    [result] = await back_translate(functions(2), make_tools(chat=ScriptedChat(("", [answer])), nli=ScriptedNli()))
    assert isinstance(result, Dropped)
    assert result.reason is reason
    assert words in result.detail
    assert result.record == functions(2)


async def test_a_function_that_was_not_described_has_no_say(make_tools: MakeTools) -> None:
    refused = ScriptedChat(("'0'", [Completion("", "refused")]), ("'1'", ["The text is same."]))
    nli = ScriptedNli(LABELS)
    [result] = await back_translate(functions(2), make_tools(chat=refused, nli=nli))
    assert isinstance(result, VerifiedInstruction)
    assert [(each.text, each.label, each.score) for each in result.back_translations] == [
        ("", "neutral", 0.0),
        ("The text is same.", "entailment", 0.9),
    ]
    assert len(nli.pairs) == 1


async def test_switched_off_it_asks_nobody_and_passes_everything_on(make_tools: MakeTools) -> None:
    record = functions(2)
    tools = make_tools("back_translation.enabled=false", chat=ScriptedChat(), nli=ScriptedNli())
    assert await back_translate(record, tools) == [record]


async def test_the_writer_reads_a_function_without_the_helpers_that_it_carries(make_tools: MakeTools) -> None:
    source = "def evaluate(response):\n    return len(get_words(response)) > 2"
    chat = ScriptedChat(("get_words(response)", ["The text is same."]))
    await back_translate(verified([carry(source)]), make_tools(chat=chat, nli=ScriptedNli(LABELS)))
    shown = chat.requests[0].messages[-1][1]
    assert shown.endswith(source)
    assert "get_words(text): Words without punctuation" in shown
    assert "unicodedata" not in shown
