"""Every rule of FollowBench, at every level, with a response that passes and one that fails by one constraint."""

import pytest

from autoif.evaluation.followbench.rules import find_rule

# Of each source: a response that satisfies all five constraints, then one that satisfies all before the n-th only.
ENGLISH = {
    "cnn_dailymail": (
        "Potter is rich now. The young actor stays calm. His films have earned him a fortune.",
        "Potter is rich now. His films have earned him a fortune.",
        "Potter is rich and he will go on to be richer than most other people are. The actor is calm. Films have run.",
        "Harry is rich now. The young actor stays calm. His films have earned him a fortune.",
        "Potter is rich now. The lavish actor stays calm. His films have earned him a fortune.",
        "Potter is rich now. The young actor stays calm. His films made him a fortune.",
    ),
    "xsum": (
        "Crews are repairing flooded homes in a large operation",
        "Crews are repairing homes. It is an operation.",
        "Crews are repairing homes that stood in water for more than a week in one operation that will go on for long",
        "Crews are repairing homes in Newton Stewart in a large operation",
        "Crews repair flooded homes in a large operation",
        "Crews are repairing flooded homes in a large effort",
    ),
    "samsum": (
        "Kim will get her stuff done soon.",
        "Kim is tired. She will get her stuff done.",
        "Kim will get all of her stuff for the university done some day if she finds the time.",
        "Kim will get her things done soon.",
        "Kim will get her stuff done without Procrastinating.",
        "Kim, who is tired, will get her stuff done.",
    ),
    "gigaword": (
        "two people die in bomb attack down south",
        "two people die in bomb attack down south today",
        "two people die in bomb attack, down south",
        "Two people die in bomb attack down south",
        "two people die in bus attack down south",
        "two people die at bomb attack down south",
    ),
    "arxiv": (
        "We find and edit facts in the activations of large models.",
        "We find facts. They are in the activations.",
        "We find and edit facts that large models hold and show them all in the activations of some of their layers.",
        "They edit facts in the activations of large models.",
        "We edit facts in the weights of large models.",
        "We edit facts in the activations of a transformer.",
    ),
}
CHINESE = {
    "cnn_dailymail": (
        "波特很富有。这位演员很冷静。他的电影赚了很多钱。",
        "波特很富有。他的电影赚了很多钱。",
        "波特现在非常富有而且以后还会更加富有。这位演员很冷静。他的电影赚了很多钱。",
        "哈利很富有。这位演员很冷静。他的电影赚了很多钱。",
        "波特很富有。这位演员很奢侈。他的电影赚了很多钱。",
        "波特很富有。这位演员很冷静。他的电影很赚钱。",
    ),
    "xsum": (
        "救援人员正在开展修复操作",
        "他们在修。这是操作。",
        "救援人员正在开展一次规模很大而且会持续很久的修复操作",
        "救援人员在牛顿斯图尔特开展操作",
        "救援人员的修复操作",
        "救援人员正在修复房屋",
    ),
    "samsum": (
        "金会做完琐碎的事。",
        "金很累。会做琐碎的事。",
        "金以后有时间的时候会做完所有琐碎的事。",
        "金会做完所有的事。",
        "金会做完拖沓的琐碎的事。",
        "金，会做完琐碎的事。",
    ),
    "gigaword": (
        "爆炸在南部致人死",
        "爆炸在南部致死",
        "爆炸在南部，致死",
        "爆炸在南部致2死",
        "公交车在南部爆炸",
        "爆炸于南部致人死",
    ),
    "arxiv": (
        "我们在激活中编辑事实。",
        "我们编辑。在激活中。",
        "我们发现并且编辑大型语言模型在激活中保存的许多事实。",
        "他们在激活中编辑事实。",
        "我们编辑模型的事实。",
        "我们编辑transformer激活。",
    ),
}
GROWING = [("en", source, texts) for source, texts in ENGLISH.items()] + [
    ("zh", source, texts) for source, texts in CHINESE.items()
]
TARGETS = [
    ("content", "E2E", "name[Blue Spice], area[city]", "name[Blue Spice], area[city]", " name[Blue Spice], area[city]"),
    ("content", "WIKIEVENTS", "a died\nb died", "b died\na died", "b died\nHere is it"),
    ("content", "CONLL2003", "['Bonn', 'Trier']", "Trier", "Paris"),
    ("mixed", "text_editing", "One. Two.", "One. Two.", "One. Two. "),
    ("situation", "BBH_logical", "(B)", "Not (A), as it is left of (C): it is (B).", "It is (B) and not (A)."),
    ("situation", "BBH_time", "03/14/2021", "After 03/01/2021 comes 03/14/2021.", "It is March 14."),
    ("situation", "self_made_space", "the kitchen", "She is in the kitchen.", "She is in the garden."),
    ("situation", "gsm_8k", "$12", "It is $5 and $7, in all $12.", "It is 12."),
    ("example", "aeslc", "{instruction}\nThe bot says: {answer}", "The bot says: It rains.", "It rains."),
    ("example", "aeslc", "{instruction}\n{{'bot': '{answer}'}}", "{'bot': 'It rains.'}", "{{'bot': 'It rains.'}}"),
    ("example", "aeslc", "{instruction}\nBot: {answer}", "Bot: ", "Bot: It rains.\nIt pours."),
]


@pytest.mark.parametrize(("language", "source", "texts"), GROWING)
def test_a_level_asks_for_all_constraints_up_to_its_own(language, source, texts):
    rule = find_rule("mixed", source, 1, language)
    right, *wrong = texts
    for level, text in enumerate(wrong, 1):
        assert rule(right, "", level)
        assert not rule(text, "", level)
        assert all(rule(text, "", before) for before in range(1, level))


@pytest.mark.parametrize(("kind", "source", "target", "right", "wrong"), TARGETS)
def test_a_target_is_met_or_missed(kind, source, target, right, wrong):
    rule = find_rule(kind, source, 1, "en")
    assert rule(right, target, 3)
    assert not rule(wrong, target, 3)


def test_a_price_in_chinese_is_in_dollars():
    rule = find_rule("situation", "gsm_8k", 1, "zh")
    assert rule("一共是12美元", "12美元", 2)
    assert not rule("一共是$12", "12美元", 2)


LONG = "Every wooden table that is used each day should be wiped with a soft and dry cloth and then be oiled again"


def test_paragraphs_are_counted_and_their_sentences_measured():
    rule = find_rule("format", "oasst", 22, "en")
    assert rule("\n\n".join([f"{LONG}."] * 3), "", 3)
    assert not rule("\n\n".join([f"{LONG}."] * 2), "", 1)
    assert not rule(f"{LONG}.\n\n{LONG}.\n\nWipe. Dry. Oil.", "", 2)
    assert not rule(f"{LONG}.\n\n{LONG}.\n\nWipe it. Oil it.", "", 3)


def test_no_english_response_passes_the_rule_for_numbered_paragraphs():
    # The point of "1." ends a sentence of one word, where each has to have more than twenty: the official rule's fault.
    rule = find_rule("format", "oasst", 22, "en")
    numbered = [f"{number}. {LONG}." for number in (1, 2, 3)]
    assert not rule("\n\n".join(numbered), "", 4)
    assert not rule("\n\n".join([*numbered, f"4. {LONG} Those are suggestions"]), "", 5)


def test_numbered_paragraphs_in_chinese_can_pass():
    rule = find_rule("format", "oasst", 22, "zh")
    paragraph = f"1. {'木' * 25}。"
    assert rule("\n\n".join([paragraph] * 3), "", 4)
    assert not rule("\n\n".join([paragraph, paragraph, "木" * 25]), "", 4)
    assert rule("\n\n".join([*[paragraph] * 3, f"4. {'木' * 25}这些是建议"]), "", 5)
    assert not rule("\n\n".join([paragraph] * 4), "", 5)


def test_benefits_have_marks_keywords_and_sentences_of_a_length():
    rule = find_rule("format", "oasst", 30, "en")
    points = [f"**{n} Growth:** Innovation lets our firms sell much more to the world." for n in range(1, 6)]
    right = "\n".join(points)
    wrong = [
        right.replace("**", ""),
        "\n".join(points[:4]),
        right.replace("sell much more to the world", "sell 1.5 times as much to the world"),
        f"{right}\nThank you.",
        right.replace("much more", "quick-ly more"),
    ]
    for level, text in enumerate(wrong, 1):
        assert rule(right, "", level)
        assert not rule(text, "", level)
        assert all(rule(text, "", before) for before in range(1, level))


def test_what_has_no_rule_is_left_to_a_judge():
    assert find_rule("content", "quora", 1, "en") is None
    assert find_rule("format", "oasst", 21, "en") is None
    assert find_rule("format", "oasst", 30, "zh") is None
