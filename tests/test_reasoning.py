"""A thought is told from the answer after it, in the marks of every family; an answer about tags keeps its text."""

import pytest

from autoif.models.reasoning import find_opening, split_reasoning
from support.proportion import assert_proportional

HARMONY = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>"


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nHm.\n</think>\n\nYes.",
        "\n<think>Hm.</think>Yes.",
        "<THINK>Hm.</THINK>Yes.",
        "<thinking>Hm.</thinking>\nYes.",
        "<thought>Hm.</thought>\nYes.",
        "<reasoning>Hm.</reasoning>\n<answer>Yes.</answer>",
        "<think>Hm.</think>\n<response>\nYes.\n</response>",
        "<seed:think>Hm.</seed:think>Yes.",
        "<longcat_think>\nHm.</longcat_think>\nYes.",
        "[THINK]Hm.[/THINK]Yes.",
        "◁think▷Hm.◁/think▷Yes.",
        "<|START_THINKING|>Hm.<|END_THINKING|>Yes.",
        "<|begin_of_thought|>\nHm.<|end_of_thought|>\n<|begin_of_solution|>Yes.<|end_of_solution|>",
        "<|inner_prefix|>Hm.<|inner_suffix|>Yes.",
        "<|channel>thought\nHm.<channel|>Yes.",
        "<unused94>thought\nHm.<unused95>Yes.",
        "to=self<|message|>Hm.<|eom|><|start|>assistant to=user<|message|>Yes.<|eot|>",
        " to=self<|message|>Hm.<|eom|><|start|>assistant to=user<|message|>Yes.",
        " to=selfHm.assistant to=userYes.",
        "Here is my thought process: Hm.\nHere is my response: Yes.",
        "Hm.\n</think>\n\nYes.",
        "Hm.</think>Yes.",
        "Hm.\n</seed:think>\nYes.",
        "Hm.[/THINK]Yes.",
        "Hm.◁/think▷Yes.",
        "Hm.<|END_THINKING|>Yes.",
        "analysisHm.assistantfinalYes.",
        "assistantanalysisHm.assistantfinalYes.",
        "<think>Hm.</thinking>Yes.",
        '<think type="deep">Hm.</think >Yes.',
        "<thought_process>Hm.</thought_process>Yes.",
        "<Thought>Hm.</Thought>\n<Output>\nYes.\n</Output>",
        "<think>Hm.</think><final_answer>Yes.</final_answer>",
        "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
        "## Thinking\n\nHm.\n\n## Final Response\n\nYes.",
        "### Thinking\nHm.\n\n### Response\nYes.",
        "# Thought Process\nHm.\n\n# Final Answer\nYes.",
        "[Thinking]\nHm.\n[/Thinking]\nYes.",
        "<plan>Hm.</plan>\n<answer>Yes.</answer>",
        "<think>Hm.<\\/think>\nYes.",
        "\ufeff<think>Hm.</think>Yes.",
        "\u200b<|channel>thought\nHm.<channel|>Yes.",
        "<|turn>model\n<|channel>thought\nHm.<channel|>Yes.",
        "Here are my reasoning steps:\nHm.\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]\n<|end|>",
        "Thinking...\nHm.\n...done thinking.\n\nYes.",
        '<details type="reasoning" done="true" duration="5">Hm.</details>\nYes.',
        "<|im_start|>assistant\n<think>\nHm.\n</think>\nYes.",
        "<|start_header_id|>assistant<|end_header_id|>\n\n<think>Hm.</think>Yes.",
        "<｜Assistant｜><think>Hm.</think>Yes.",
        "[/INST] [THINK]Hm.[/THINK]Yes.",
        "<|think|>Hm.<|/think|>Yes.",
        "<|begin_of_thinking|>Hm.<|end_of_thinking|>Yes.",
        "<|thinking_start|>Hm.<|thinking_end|>Yes.",
        "<｜begin▁of▁thinking｜>Hm.<｜end▁of▁thinking｜>Yes.",
        "<|think|>Hm.<|end|><|begin|>assistant<|content|>Yes.",
        "Hm.<|/think|>Yes.",
        "<ctrl94>thought\nHm.<ctrl95>Yes.",
        "[REASONING]Hm.[/REASONING]Yes.",
        "<reasoning_steps>Hm.</reasoning_steps>Yes.",
        "<internal_monologue>Hm.</internal_monologue>Yes.",
        "*Thinking...*\n\n> Hm.\n\nYes.",
        "<details>\n<summary>Thinking</summary>\n\nHm.\n\n</details>\n\nYes.",
        "<details open><summary>Thought for 3 seconds</summary>Hm.</details>Yes.",
        "<details><summary>Reasoned for 3 seconds</summary>Hm.</details>Yes.",
        "<think_faster>Hm.</think_faster>\n<answer>Yes.</answer>",
        "[unused16]Hm.[unused17]Yes.",
        "Hm.[unused17]Yes.",
        "<think>Hm.<//think>\nYes.",
        "Hm.\n<//think>\nYes.",
        "<|im_start|>assistant<|im_sep|><think>Hm.</think>Yes.",
        "[gMASK]<sop><|assistant|>\n<think>Hm.</think>Yes.",
        "Hm.<|channel>thought<channel|>Yes.",
        "<cot>Hm.</cot>Yes.",
        "<thinking_block>Hm.</thinking_block>Yes.",
        "<think_summary>Hm.</think_summary>Yes.",
        "<thoughtprocess>Hm.</thoughtprocess>Yes.",
        "**Thinking...**\nHm.\n\n**Response:**\nYes.",
        "<think>Hm.</think>\n<final>Yes.</final>",
    ],
)
def test_a_thought_is_split_off_in_the_marks_of_every_family(text: str) -> None:
    answer, reasoning, closed = split_reasoning(text)
    assert (answer, reasoning.lstrip("> "), closed) == ("Yes.", "Hm.", True)


def test_an_empty_tag_of_a_thought_is_none() -> None:
    assert split_reasoning("<think/>\nYes.") == ("Yes.", "", True)


@pytest.mark.parametrize("channel", ["final", "assistant"])
def test_what_harmony_does_not_call_final_is_thought(channel: str) -> None:
    answer, reasoning, closed = split_reasoning(HARMONY.replace("final", channel))
    assert (answer, closed) == ("Yes.", True)
    assert "Hm." in reasoning


def test_what_gpt_oss_says_at_once_is_its_answer() -> None:
    assert split_reasoning("finalThe lamp is lit.") == ("The lamp is lit.", "", True)
    assert split_reasoning("finally the lamp is lit.") == ("finally the lamp is lit.", "", True)


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.find {}<|call|>",
        "analysisHm.assistantcommentary to=functions.find json{}",
        "analysiswe look.assistantcommentary to=functions.find json{}",
    ],
)
def test_where_gpt_oss_calls_a_tool_its_thought_ends(text: str) -> None:
    answer, reasoning, closed = split_reasoning(text)
    assert answer.startswith("commentary to=functions.find")
    assert closed
    assert reasoning


def test_thoughts_in_a_row_are_one() -> None:
    assert split_reasoning("<think>One.</think>\n<think>Two.</think>\nYes.") == ("Yes.", "One.\n\nTwo.", True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>A score of 9 would be",
        "[THINK]Hm.",
        "<|channel|>analysis<|message|>Hm.",
        "analysisThe user wants something",
        "<think>One.</think><think>Two",
        "◁think▷Hm",
        "thought\nThe user wants something. It is this.",
    ],
)
def test_a_thought_that_never_ends_leaves_no_answer(text: str) -> None:
    answer, reasoning, closed = split_reasoning(text)
    assert (answer, closed) == ("", False)
    assert reasoning


@pytest.mark.parametrize(
    "text",
    [
        "The tag </think> ends a thought.",
        "Write `<think>` first and `</think>` last.",
        "Models mark thoughts: <think>like this</think>. Then they answer.",
        "Put it between [THINK] and [/THINK], please.",
        "Use this:\n```xml\n<a>\n</think>\n```\nThat is all.",
        'Begin with "</think>"\nand go on.',
        "analysis of the text: it is short.",
        "thoughts\nare free.",
        "thought is free.",
        "Gemma writes `<|channel>thought` and `<channel|>`.",
        "<thinking_cap> is a tag of mine.",
        "The token <|think|> begins it and <|/think|> ends it.",
        "<details><summary>Opening hours</summary>Nine to five.</details> That is all.",
        "> Thinking...\n\n> is hard.",
        "I think </b> is HTML.\n</p>\nYes.",
        "  An answer with spaces around.  ",
        "<thinking hard> That is a stage direction.",
        "## Thinking\nIt is hard work.",
        "## Thought Process\nHm.\n\n## Answer\nYes.",  # headings that a prompt may ask for
        "[thinking] Hm, says the keeper.",
        "<details><summary>Reasons to go</summary>None.</details> That is all.",
        "Thinking... is what I do.",
        "For example:\n<think>\nfirst this\n</think>\nThat is how it looks.",
        "Example:<think>\nfirst\n</think>\nDone.",
        "<|im_start|>assistant\nYes.",
        "",
    ],
)
def test_an_answer_that_mentions_a_tag_keeps_its_text(text: str) -> None:
    assert split_reasoning(text) == (text, "", True)


def test_a_thought_may_mention_the_opening_tag_before_its_own_end() -> None:
    text = "The user wants <think> in the answer.\n</think>\nYes."
    assert split_reasoning(text) == ("Yes.", "The user wants <think> in the answer.", True)


@pytest.mark.parametrize(
    "text", ["I quote `</think>` here.\n</think>\nYes.", "<think>I quote `</think>` here.</think>Yes."]
)
def test_a_thought_may_quote_its_own_tag(text: str) -> None:
    assert split_reasoning(text) == ("Yes.", "I quote `</think>` here.", True)


@pytest.mark.parametrize(
    "unit",
    [
        "<think>",
        "</think>",
        "`</think>` ",
        "<think></think>",
        "<",
        "</",
        "<|channel|>final",
        " ",
        "analysis",
        "[THINK]",
        "<|think|>",
        "<|/think|>",
        "<|begin_of_",
        "<details><summary>",
        "Thinking...\n\n>",
        "<|channel>thought",
        "x<|channel>thought",
        "<channel|>",
        "analysis<|channel|>commentary",
        "to=self<|message|>",
        "<|start|>assistant to=",
        " to=self<|message|><|eom|>",
        "[unused16]",
    ],
)
def test_no_text_of_100_kb_takes_long(unit: str) -> None:
    assert_proportional(lambda size: split_reasoning(unit * (size // len(unit))), 100_000)


@pytest.mark.parametrize(
    ("prompt", "opening"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("<|turn>model\n<|channel>thought\n", "<|channel>"),
        ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>"),
        ("[/INST][THINK]", "[THINK]"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("What does <think> mean?<|im_start|>assistant\n", ""),
    ],
)
def test_a_prompt_whose_template_opens_the_thought_tells_by_which_mark(prompt: str, opening: str) -> None:
    assert find_opening(prompt) == opening


def test_what_is_addressed_to_the_user_is_the_answer_and_a_thought_to_itself_may_never_end():
    assert split_reasoning(" to=user<|message|>Yes.<|eot|>") == ("Yes.", "", True)
    assert split_reasoning(" to=self<|message|>Hm, <think> and so on") == ("", "Hm, <think> and so on", False)
    for text in ("to=user is a setting.", "to=username", "Write to=user<|message|>Yes."):
        assert split_reasoning(text).answer == text
