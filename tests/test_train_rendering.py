"""Chat templates as published models have them, in small: what they lose of a row, and what they add to learn."""

import pytest

from autoif.errors import ModelError
from autoif.sampling.turn_end import adopt_turn_end
from autoif.training.rendering import Template, describe_date, describe_marks, fit_prompts, fit_rows
from support.tiny_model import CHAT_TEMPLATE, make_tokenizer
from support.training_data import turn

SYSTEM, USER, ANSWER = turn("system", "Be brief."), turn("user", "Say tea."), turn("assistant", "tea")
EARLIER = (turn("user", "Say milk."), turn("assistant", "<think>hm</think>milk"))
THOUGHT = turn("assistant", "<think>\nso be it\n</think>\n\ntea")
MENTION = turn("assistant", "It ends by `</think>` and not before.")
FIELD = {**ANSWER, "reasoning_content": "so be it"}

CONTENT = "{{ message['content'] }}"
ONLY_USERS = "{% for message in messages if message['role'] != 'system' %}".join(
    CHAT_TEMPLATE.split("{% for message in messages %}")
)
LAST_TURNS = CHAT_TEMPLATE.replace("in messages", "in messages[-2:]")
SYSTEM_BEFORE_LAST_USER = (
    "{% for message in messages %}{% if message['role'] != 'system' %}<{{ message['role'] }}>"
    "{% if loop.last and message['role'] == 'user' and messages[0]['role'] == 'system' %}"
    "{{ messages[0]['content'] }} {% endif %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endif %}{% endfor %}"
)
CUTS_THOUGHTS = CHAT_TEMPLATE.replace(CONTENT, "{{ message['content'].split('</think>')[-1] }}")
REWRITES_THOUGHTS = CHAT_TEMPLATE.replace(
    CONTENT,
    "{% set parts = message['content'].split('</think>') %}{% if parts | length > 1 %}"
    "<think>{{ parts[0].split('<think>')[-1].strip() }}</think>\n{% endif %}{{ parts[-1].strip() }}",
)
KNOWS_FIELD = CHAT_TEMPLATE.replace(
    CONTENT, "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}" + CONTENT
)
EMPTY_THOUGHT = CHAT_TEMPLATE.replace(
    CONTENT, "{{ '<think>\n\n</think>\n' if message['role'] == 'assistant' }}" + CONTENT
)
OPENS = CHAT_TEMPLATE.replace("<assistant>{% endif %}", "<assistant><think>\n{% endif %}")
OPENS_AND_CLOSES = EMPTY_THOUGHT.replace("<assistant>{% endif %}", "<assistant><think>\n{% endif %}")
CLOSED_IN_PROMPT = EMPTY_THOUGHT.replace("<assistant>{% endif %}", "<assistant><think>\n\n</think>\n{% endif %}")
CHANNEL = CHAT_TEMPLATE.replace(
    CONTENT, "{{ '<|channel|>final<|message|>' if message['role'] == 'assistant' }}" + CONTENT
)
TEXT_PARTS = CHAT_TEMPLATE.replace(CONTENT, "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}")


def list_losses(template: str, *turns: dict) -> set[str]:
    row = {"prompt": [*turns[:-1]], "completion": [turns[-1]]}
    _, found = fit_rows([row], Template(make_tokenizer(template)), None, None)
    return found.record().keys() & {"thoughts_lost", "turns_changed", "prompts_learnt"}


@pytest.mark.parametrize(
    ("template", "turns", "lost"),
    [
        (CHAT_TEMPLATE, [SYSTEM, *EARLIER, USER, THOUGHT], set()),
        (CHAT_TEMPLATE, [USER, MENTION], set()),
        (ONLY_USERS, [USER, ANSWER], set()),
        (ONLY_USERS, [SYSTEM, USER, ANSWER], {"turns_changed"}),
        (LAST_TURNS, [USER, ANSWER], set()),
        (LAST_TURNS, [*EARLIER, USER, ANSWER], {"turns_changed", "prompts_learnt"}),
        (SYSTEM_BEFORE_LAST_USER, [*EARLIER, USER, ANSWER], set()),
        (SYSTEM_BEFORE_LAST_USER, [SYSTEM, USER, ANSWER], {"turns_changed", "prompts_learnt"}),
        (CUTS_THOUGHTS, [*EARLIER, USER, ANSWER], set()),
        (CUTS_THOUGHTS, [USER, THOUGHT], {"thoughts_lost"}),
        (CUTS_THOUGHTS, [USER, MENTION], {"turns_changed"}),
        (REWRITES_THOUGHTS, [USER, THOUGHT], set()),
        (REWRITES_THOUGHTS, [USER, MENTION], {"turns_changed"}),
        (KNOWS_FIELD, [USER, FIELD], set()),
        (CHAT_TEMPLATE, [USER, FIELD], {"thoughts_lost"}),
        (OPENS, [USER, ANSWER], set()),
        (OPENS_AND_CLOSES, [USER, ANSWER], set()),
        (CHANNEL, [USER, ANSWER], set()),
        (TEXT_PARTS, [USER, ANSWER], {"turns_changed"}),
    ],
)
def test_what_a_template_loses_of_a_row_is_counted(template, turns, lost):
    assert list_losses(template, *turns) == lost


def test_a_system_turn_that_a_template_leaves_out_of_a_prompt_is_counted():
    template = Template(make_tokenizer(ONLY_USERS))
    rows = [{"prompt": [SYSTEM, USER]}, {"prompt": [USER]}]
    assert fit_prompts(rows, template, 1, None)[1].turns_changed == 1


@pytest.mark.parametrize(
    ("template", "answer", "told"),
    [
        (CHAT_TEMPLATE, ANSWER, None),
        (EMPTY_THOUGHT, ANSWER, r"each answer with '<think>\n\n</think>\n', which .*answer without a thought"),
        (EMPTY_THOUGHT, THOUGHT, r"each answer with '<think>\n\n</think>\n'"),
        (OPENS_AND_CLOSES, ANSWER, r"each answer with '\n</think>\n', which .*answer without a thought"),
        (CLOSED_IN_PROMPT, ANSWER, None),
        (OPENS, ANSWER, "opens a thought (<think>)"),
        (OPENS, THOUGHT, None),
        (CHANNEL, ANSWER, "each answer with '<|channel|>final<|message|>', which .*answer without a thought"),
        (KNOWS_FIELD, FIELD, None),
        (LAST_TURNS, ANSWER, None),
    ],
)
def test_what_a_template_has_the_model_write_before_an_answer_is_told(template, answer, told):
    said = describe_marks({"prompt": [*EARLIER, USER], "completion": [answer]}, Template(make_tokenizer(template)))
    parts = told.split(".*") if told else []
    assert bool(said) == bool(told)
    assert all(part in (said or "") for part in parts)


@pytest.mark.parametrize(
    ("before", "told"), [("", False), ("{{ strftime_now('%Y') }}", True), ("{{ date_string | default('now') }}", False)]
)
def test_a_template_that_writes_the_date_is_told(before, told):
    said = describe_date({"prompt": [USER]}, Template(make_tokenizer(before + CHAT_TEMPLATE)))
    assert bool(said) == told


def test_a_template_that_shows_no_answer_is_not_said_to_lack_an_end():
    with pytest.raises(ModelError, match="leaves out what the assistant says"):
        adopt_turn_end(make_tokenizer(TEXT_PARTS), "some/model", [USER])
