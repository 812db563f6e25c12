"""What a model wrote is made fit for files, trainers and terminals; text of any script stays as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.models.text import clean_text, drop_echo
from support.proportion import assert_proportional


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\ud83d\x00 end", "a\ufffd end"),
        ("\ud83d\ude00", "😀"),
        ("a\ue000\uffff\ufdd0b", "a\ue000b"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        ("\x9b1mbold\x08", "bold"),
        ("one\x0btwo\x0cthree", "one\ntwo\nthree"),
        ("a\tb\r\nc\u2028d", "a\tb\r\nc\u2028d"),
        ("\ufeffstart", "start"),
        ("Fine.<|im_end|>", "Fine."),
        ("Fine.<|im_end|>\n<|im_start|>user\nThanks!<|im_end|>", "Fine."),
        ("Fine.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nMore", "Fine."),
        ("Fine.<end_of_turn>\n<start_of_turn>user\nMore", "Fine."),
        ("Fine.<turn|>\n<|turn>user\nMore", "Fine."),
        ("Fine.<|turn>user\nMore", "Fine."),
        ("Fine.<|tool_call>", "Fine."),
        ("Fine.<｜end▁of▁sentence｜>", "Fine."),
        ("Fine.</s>", "Fine."),
        ("Fine.</s><s>[INST] More? [/INST] Yes.", "Fine."),
        ("Fine.<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>More", "Fine."),
        ("Fine.\n<|user|>\nThanks!", "Fine."),
        ("Fine.<|im_start|>user\nThanks!", "Fine."),
        ("Fine.<|im_start|>assistant\nMore.", "Fine."),
        ("Fine.<｜User｜>Thanks!", "Fine."),
        ("<|im_start|>assistant\nFine.", "Fine."),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nFine.", "Fine."),
        ("<start_of_turn>model\nFine.", "Fine."),
        ("<|header_start|>assistant<|header_end|>\n\nFine.<|eot|>", "Fine."),
        ("<|assistant|>\nFine.</s>\n<|user|>", "Fine."),
        ("[/INST] Fine.", "Fine."),
        ("[|assistant|]Fine.[|endofturn|]\n[|user|]More", "Fine."),
        ("<seed:bos>assistant\nFine.<seed:eos><seed:bos>user\nMore", "Fine."),
        ("]~b]ai\nFine.[e~[\n]~b]user\nMore[e~[", "Fine."),
        ("<role>ASSISTANT</role>Fine.<|role_end|><role>HUMAN</role>More", "Fine."),
        ("Fine.</longcat_s>", "Fine."),
        ("Fine.<|endofresponse|><|userprompt|>More", "Fine."),
        ("Fine.<extra_id_1>User\nMore", "Fine."),
        ("The user said [|x|].", "The user said [|x|]."),
        ("assistant\n\nFine.", "Fine."),
        ("assistant Fine.", "assistant Fine."),
        ("Fine \ue200cite\ue202turn0search0\ue202turn0search1\ue201", "Fine "),
        ("Write <|im_start|>user first.", "Write user first."),
        ("<s>old</s>", "<s>old</s>"),
        ('{"a": "Fine.<|eot_id|>\\n<|start_header_id|>user", "b": "x"}', '{"a": "Fine.", "b": "x"}'),
        ('```json\n{"a": "b<|im_end|>"}\n```<|im_end|>', '```json\n{"a": "b"}\n```'),
        ('{"a": "b"}<|im_end|>\n<|im_start|>user\n"Thanks!"', '{"a": "b"}'),
        ('{"a": "Its <|im_end|> ends a turn."}', '{"a": "Its  ends a turn."}'),
        ("The token <|im_end|> ends a turn.", "The token  ends a turn."),
        ("<|assistant|>Fine.", "Fine."),
        ("[INST] Fine. [/INST]", " Fine. "),
        ("a | b <b> [x] |> c <- d", "a | b <b> [x] |> c <- d"),
        ("👩‍🚀 ne\u00a0pas, 好的。 नमस्ते שלום", "👩‍🚀 ne\u00a0pas, 好的。 नमस्ते שלום"),
    ],
)
def test_what_no_file_trainer_or_terminal_should_meet_is_taken_out(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.text(st.characters(codec=None), max_size=40))
def test_what_is_left_can_be_written_anywhere(text: str) -> None:
    cleaned = clean_text(text)
    assert json.loads(json.dumps(cleaned)).encode("utf-8").decode("utf-8") == cleaned
    assert not any(char < " " and char not in "\t\r\n" for char in cleaned)


@given(st.text(max_size=40))
def test_plain_text_stays_as_it_is(text: str) -> None:
    plain = "".join(char for char in text if char.isprintable() and char not in "<[")
    assert clean_text(plain) == plain


@pytest.mark.parametrize("unit", ["\x1b]", "\x1b[1", "<|", "<｜", "<", "<|im_end|> a", "<|im_end|>          ", "x</s>"])
def test_no_text_of_100_kb_takes_long(unit: str) -> None:
    assert_proportional(lambda size: clean_text(unit * (size // len(unit))), 100_000)


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nFine.<|im_end|>",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant"
        "<|end_header_id|>\n\nFine.<|eot_id|>",
        "<bos><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\nFine.",
        "<s>[INST] Why? [/INST] Fine.</s>",
        "<｜User｜>Why?<｜Assistant｜>Fine.",
        "<|user|>\nWhy?<|assistant|>\nFine.",
        "system\nBe brief.\nuser\nWhy?\nassistant\nFine.",
    ],
)
def test_a_conversation_that_a_server_sends_back_is_no_part_of_the_answer(text: str) -> None:
    assert clean_text(drop_echo(text)) == "Fine."


@pytest.mark.parametrize(
    "text", ["user\nnames are short.", "assistant\nFine.", "[INST] Fine. [/INST]", "Fine.", "<|user|> Why?"]
)
def test_what_is_no_conversation_is_no_echo(text: str) -> None:
    assert drop_echo(text) == text
