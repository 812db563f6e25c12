"""What servers do to an answer is undone, or told; what an answer says of itself stays.

Each habit is one answer here, and whole runs in tests/test_habits.py and benchmarks/server_habits.py.
"""

import json

import pytest

from autoif.models.repairs import repair_text
from autoif.models.requests import Completion
from autoif.models.wire import Question, read_choice, read_server_answer
from autoif.records import Reason
from support.habit_server import Asked, honest
from support.habits import HABITS, Known

TURN = "Why is the lamp of a lighthouse so high above the sea? Use at least 4 letters in the answer."
ASKED = Asked("responses", {"messages": [{"role": "user", "content": TURN}], "n": 2, "seed": 7}, 0, 0, 0.0)


@pytest.mark.parametrize("known", HABITS.values(), ids=HABITS)
def test_an_answer_is_what_the_model_said_or_says_why_it_is_none(known: Known) -> None:
    said = known.habit(ASKED)
    assert isinstance(said, dict)
    answer = read_server_answer(said, Question((TURN,), most_tokens=120))
    if known.fault is Reason.REFUSED_BY_MODEL and not answer.completions:
        assert answer.failures  # and asked again
        return
    assert {each.fault for each in answer.completions} == {known.fault}
    if known.fault is None:
        texts = [choice["message"]["content"] for choice in honest(ASKED)["choices"]]
        assert [each.text.strip() for each in answer.completions] == texts


def read(text: str, prompt: str = TURN) -> Completion:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    [completion] = read_server_answer({"choices": [choice]}, Question((prompt,))).completions
    return completion


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        ("Itâ€™s late, he said â€œfineâ€\x9d.", "It’s late, he said “fine”."),
        ("Itâ\x80\x99s late.", "It’s late."),
        ("cafÃ© and Ã¼ber", "café and über"),
        ("ä½\xa0å¥½", "你好"),
        ("TheĠkeeperâĢĻsĠlampĊĊisĠlit.", "The keeper’s lamp\n\nis lit."),
        ("One.<0x0A>It<0xE2><0x80><0x99>s late.", "One.\nIt’s late."),
        ("It&#39;s &quot;late&quot; &amp; dark.", 'It\'s "late" & dark.'),
        ('One.\\n\\nTwo.\\nThree \\"x\\".', 'One.\n\nTwo.\nThree "x".'),
        ("One.\r\nTwo.\r\nThree.", "One.\nTwo.\nThree."),
        ("One.\rTwo.\rThree.", "One.\nTwo.\nThree."),
        ("\u200bOne\u200b two.\u2060", "One two."),
        ("[gMASK]<sop>Fine.", "Fine."),
        ("One\u200b two.", "One two."),
        ("Fine.\n\nuser\n\nAnd how high is it above the sea?", "Fine."),
        ("Fine. <sep> human: Thanks!", "Fine."),
        ("Fine.\n\n### Instruction:\nWrite a poem.\n\n### Response:\nRoses.", "Fine."),
        ("Sure!\n\n<think>\nPONDER.\n</think>\n\nFine.", "Sure!\n\nFine."),
        ("Fine <co: 0,1>today</co: 0,1>[^1^].", "Fine today."),
        ("<|start|>assistant<|message|>Fine.<|end|>", "Fine."),
        ("<|channel|>assistant<|message|>Fine.<|end|>", "Fine."),
        ("Fine.[EOS]", "Fine."),
        ("Fine.[unused10]", "Fine."),
        ("Fine.<｜hy_User｜>And then?", "Fine."),
        ("Fine.<SPECIAL_12>\n<SPECIAL_11>User\nAnd then?", "Fine."),
        ("Fine.<|end_of_sentence|>User: And then?", "Fine."),
        ("Fine.</s>USER: And then? ASSISTANT: Dark.", "Fine."),
        ("<answer>\nFine.\n</answer>", "Fine."),
        ("<assistant_response>Fine.</assistant_response>", "Fine."),
        ('{"role": "assistant", "content": "Fine."}', "Fine."),
        ('{"reasoning_content": "Hm.", "content": "Fine."}', "Fine."),
        ('{"thought_process": "Hm.", "final_answer": "Fine."}', "Fine."),
        ("Fine. citeturn0search1turn0news2", "Fine."),
        ("<think>Hm. <think>Deeper.</think> Hm.</think>Fine.", "Fine."),
        ("<think>a<think>b<think>c</think>d</think>e</think>Fine.", "Fine."),
        ("<think>a<think>b</think>c</think>Close it by </think>.", "Close it by </think>."),
        ("<think>Hm, the tag <think> opens it.</think>\nFine.", "Fine."),
        ("< think >Hm.</ think >\nFine.", "Fine."),
        ("<plan>Hm.</plan><final>Fine.</final>", "Fine."),
        ("<think>Hm.</think>\n<some:answer>Fine.</some:answer>", "Fine."),
        ("Fine.<|endoftext|>Human: And then?\n\nAssistant: Dark.", "Fine."),
        ("Fine.<|im_end|>I hope that it helps.", "Fine."),
        ("[gMASK]<sop><|assistant|>\nFine.<|user|>", "Fine."),
        ("[gMASK]<sop><|user|>\nWhy?<|assistant|>\nFine.", "Fine."),
        ("Fine. <|endoftext|>\n\nQuestion: And then?\nAnswer: So.", "Fine."),
        ("**Assistant:** Fine.", "Fine."),
        ("**Assistant**: Fine.", "Fine."),
    ],
)
def test_what_happened_to_a_text_on_its_way_is_undone(damaged: str, text: str) -> None:
    assert read(damaged).text == text


@pytest.mark.parametrize(
    "call",
    [
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="find">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>',
        '<|tool_call>call:find{of:<|"|>keeper<|"|>}<tool_call|>',
        "call:find{of:keeper}",
        'find[ARGS]{"of": "keeper"}',
        '<tool_calls>[{"name": "find", "arguments": {}}]</tool_calls>',
        '<|tools_prefix|>[{"find": {}}]<|tools_suffix|>',
        '<|action_start|><|plugin|>{"name": "find"}<|action_end|>',
        '[unused11][{"name": "find"}][unused12]',
        'commentary to=functions.find json{"of": "keeper"}',
        "<|channel|>commentary to=functions.find <|constrain|>json<|message|>{}<|call|>",
        '[find(of="keeper")]',
        '```json\n{"name": "find", "arguments": {}}\n```',
        "I look.\n\n<tool_call>\n<function=find>\n<parameter=of>\nkeeper\n</parameter>\n</function>\n</tool_call>",
        "I look.\n<tool_call>find\n<arg_key>of</arg_key>\n<arg_value>keeper</arg_value>\n</tool_call>",
        'I look.\n<minimax:tool_call>\n<invoke name="find">\n</invoke>\n</minimax:tool_call>',
        "I look.<|tool_calls_section_begin|><|tool_call_begin|>functions.find:0<|tool_call_end|>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{}\n```<｜tool▁calls▁end｜>",
        "I look.\n<start_function_call>call:find{of:<escape>keeper<escape>}<end_function_call>",
        "<start_function_call>call:find{of:<escape>keeper<escape>}<end_function_call>",
    ],
)
def test_a_call_that_nobody_offered_is_no_answer_whoever_writes_it(call: str) -> None:
    answer = read(call)
    assert (answer.text, answer.fault) == ("", Reason.EMPTY)
    assert "nobody offered" in answer.fault_detail


def test_an_answer_that_lost_the_marks_around_its_thought_says_what_to_do() -> None:
    answer = read("thought\nThe user asks about a lamp. It is high, to be seen.")
    assert answer.fault is Reason.TRUNCATED
    assert "skip_special_tokens = false" in answer.fault_detail


CHAT = "Write a dialogue between a user and an assistant."
TAGS = "Explain how models mark their thoughts with <think> tags."


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        # what a prompt asks for
        ("User: Hi!\nAssistant: Hello!\n\nHuman: Bye!", CHAT),
        ("Assistant: Hello!", CHAT),
        ("```markdown\n# Lamps\n```", "Put your answer into a markdown code block."),
        ('{"response": "Yes."}', "Answer as JSON."),
        (f"{TURN} Repeat this.\nHigh, to be seen.", f"{TURN} Repeat this."),
        ("I sleep all day long, and at night." * 2, "Say it twice, without a space."),
        ("Write &quot;x&quot; for &#39;it&#39;s fine&#39; there.", "How does one write quotes in HTML?"),
        ("Use \\n\\nA or \\nB to break lines.", "Which escape sequence breaks lines?"),
        ("Say <think> first and </think> last.", TURN),
        ("<plan>Wood</plan> and <final>Stone</final> are names.", TURN),
        ("**Assistant**: who helps. **Keeper**: who keeps.", TURN),
        ("It goes so:\n<think>\nHm.\n</think>\nThen the answer.", TAGS),
        ('{"name": "find", "arguments": {}}', "Show the JSON of a function call."),
        # what an answer mentions
        ("The sign Ã© is what is left of é.", TURN),
        ("“Ã©” is damaged, and so is “â€™”.", TURN),
        ("Déjà vu, naïve, Ångström, «CAFÉ… ÂME»", TURN),
        ("25 °C and £5 or ½ à la carte", TURN),
        ("Ġorġ u Ġanni huma ħbieb.", TURN),
        ("The mark ▁ stands for a space, as in ▁the and ▁a.", TURN),
        ("The token `<0x0A>` is a line's end.", TURN),
        ('"It is late."', TURN),
        ("\"He said 'no'.\"", TURN),
        ("Tom & Jerry's &copy; sign", TURN),
        ("### Question: Why?\nSo.\n\n### Question: How?\nThus.", TURN),
        ("The login:\n\nUser: ann\nPassword: lamp", TURN),
        ("The path C:\\new\\table and \\nabla f = \\nu", TURN),
        ("user\nnames are short.\nThe assistant\nhelps.", TURN),
        ("Roles:\nuser\nassistant\nadmin", TURN),
        ("The assistant: a person who helps.", TURN),
        ("A dialogue.\nUser: Hi!\n\nHuman: What?", TURN),
        ("Khmer ជំរាប\u200bសួរ and 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 👩\u200d🚀", TURN),
        ("F# pipes with <| and |>", TURN),
        ("<s>old</s> and new", TURN),
        ("A list was truncated [by me] in the text [truncated] here.", TURN),
        ("Footnote[^1] and [1] and 【important】 stay.", TURN),
        ("Write `[cite: 1]` for a source.", TURN),
        ("> Thinking is hard.\n\nYes.", TURN),
        ("**Reasoning:** It is high.\n\n**Answer:** To be seen.", TURN),
        ("I thought for 3 minutes\n\nand then wrote.", TURN),
        ("Put <think>Hm.</think> before it.", TURN),
        ("Write <tool_call>{}</tool_call> to call one.", TURN),
        ("It goes so:\n<tool_call>\n{}\n</tool_call>\nThen it waits.", TURN),
        ("[smile] Fine.", TURN),
        ("<answer>\nYes.\n</answer>", "Put the answer into <answer> tags."),
        ('{"name": "Ann", "age": 7}', TURN),
        ('{"error": {"message": "no"}}', TURN),
        ('{"choices": [1, 2]}', TURN),
        ("<html><head><title>502 reasons</title></head></html>", TURN),
        ("Action: the keeper runs.\nThen he sleeps.", TURN),
        ("abcdefg " * 12 + "end", TURN),
        ("haha" * 30, TURN),
        ("Hello undefined behaviour", TURN),
    ],
)
def test_what_an_answer_says_of_itself_stays(text: str, prompt: str) -> None:
    found = read(text, prompt)
    assert (found.text, found.fault) == (text, None)


def test_an_answer_whose_prompt_is_not_known_keeps_what_a_prompt_may_have_asked_for() -> None:
    text = "Assistant: Hello!\n\nHuman: Bye!"
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    assert read_server_answer({"choices": [choice]}).completions[0].text == text


@pytest.mark.parametrize("stop", ["</s>", "<|im_end|>", "stop", "eos", 151645, None, "", "END"])
def test_a_stop_at_the_end_of_the_answer_is_one(stop: object) -> None:
    choice = {"message": {"content": "Fine."}, "finish_reason": "stop", "stop_reason": stop, "matched_stop": "END"}
    assert read_server_answer({"choices": [choice]}, Question(stop=("END",))).completions[0].fault is None


def test_a_limit_of_the_servers_own_is_told() -> None:
    choices = [{"message": {"content": "The keeper"}, "finish_reason": "length"}]
    usage = {"prompt_tokens": 9, "completion_tokens": 20}
    answer = {"choices": choices, "usage": usage}
    found = read_server_answer(answer, Question(most_tokens=120)).completions[0]
    assert found.fault_detail == "cut off: after 20 tokens, though 120 were allowed"
    assert read_server_answer(answer, Question(most_tokens=20)).completions[0].fault_detail == "cut off at max_tokens"


def test_filters_that_did_not_strike_are_nothing() -> None:
    fine = {
        "hate": {"filtered": False, "severity": "safe"},
        "protected_material_text": {"detected": True, "filtered": False},
    }
    choice = {"message": {"content": "Fine."}, "finish_reason": "stop", "content_filter_results": fine}
    answer = {
        "choices": [choice],
        "output_sensitive": False,
        "amazon-bedrock-guardrailAction": "NONE",
        "truncated": False,
    }
    assert read_server_answer(answer).completions[0].fault is None


def test_probabilities_in_place_of_logarithms_are_none() -> None:
    entries = [{"token": "Yes", "logprob": 0.97}, {"token": "No", "logprob": 0.03}]
    choice = {"message": {"content": "Yes"}, "logprobs": {"content": [{"top_logprobs": entries}]}}
    assert read_server_answer({"choices": [choice]}).completions[0].logprobs == ()


def test_what_a_server_warns_of_is_read() -> None:
    answer = {"choices": [], "warnings": ["seed is ignored", {"message": "prompt\ncut"}], "warning": None}
    assert read_server_answer(answer).warnings == ("seed is ignored", "prompt cut")
    assert json.dumps(read_server_answer({"choices": []}).warnings) == "[]"


def test_quotation_marks_that_were_asked_for_are_no_writing_of_a_gateway() -> None:
    answer = '"\\"Online\\" trade grows.\\nSo does the rest."'
    assert repair_text(answer, "Name a trend. Wrap your entire response with double quotation marks.") == answer
    assert repair_text(answer, "Name a trend.") == '"Online" trade grows.\nSo does the rest.'


PAGES = (
    "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>504 Gateway Time-out</title></head></html>",
    "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>",
    "Error: 500 Internal Server Error (request id 7)",
    "HTTP 429 Too Many Requests",
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_or_a_line_of_http_as_the_text_is_a_failure_unless_it_was_asked_for(page: str) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": page}, "finish_reason": "stop"}]}
    assert read_server_answer(answer, Question((TURN,))).failures
    asked = Question(("What does a server answer when it has an error?",))
    assert read_server_answer(answer, asked).completions[0].text == page


@pytest.mark.parametrize("text", ["429 keepers wrote to us.", "500 Internal rooms are lit.", "404\nNot Found"])
def test_an_answer_that_begins_with_a_number_is_no_error(text: str) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    assert read_server_answer(answer, Question((TURN,))).completions[0].text == text


def test_what_a_tool_wrote_is_no_answer() -> None:
    found = read_choice({"message": {"role": "tool", "content": "What a search found."}, "finish_reason": "stop"})
    assert found.fault is Reason.EMPTY


@pytest.mark.parametrize(("said", "fault"), [("num_predict", Reason.TRUNCATED), ("compaction", Reason.TRUNCATED),
                                             ("LANGUAGE", Reason.REFUSED_BY_MODEL)])  # fmt: skip
def test_ends_that_servers_added_are_no_whole_answers(said: str, fault: Reason) -> None:
    found = read_choice({"message": {"role": "assistant", "content": "Fine"}, "finish_reason": said})
    assert found.fault is fault
