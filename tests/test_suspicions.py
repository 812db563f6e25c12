"""What many answers of a server show together is said once, and not of honest ones."""

from collections.abc import Iterable

import pytest

from autoif.models.requests import Completion, Request
from autoif.models.server import _is_same_model, _shorten
from autoif.models.suspicions import Suspicions

LONG = "The keeper trims the lamp {} times and writes it down."


def look(answers: Iterable[Iterable[str]], stage: str = "rejection_sampling", ask: str = "Why {}?") -> list[str]:
    """Return what is said of these samples of one prompt after the other."""
    suspicions, said = Suspicions(), list[str]()
    for number, texts in enumerate(answers):
        request = Request("responder", stage, messages=(("user", ask.format(number)),), samples=2, temperature=0.8)
        said += suspicions.look_at_samples(f"{number}", request, [Completion(text, "stop") for text in texts])
    return said


def test_one_text_for_several_prompts_is_told() -> None:
    said = look([[LONG.format(number), "I'm sorry, but I can't assist with that."] for number in range(6)])
    assert said
    assert all(each.startswith("gave \"I'm sorry") for each in said)


def test_one_text_for_all_samples_of_a_prompt_is_told() -> None:
    said = look([[LONG.format(number)] * 2 for number in range(6)], stage="verification")
    assert said
    assert all("all samples of a prompt one text" in each for each in said)


@pytest.mark.parametrize(
    ("template", "verb"),
    [("{}\n\n---\n*Made by a free gateway.*", "ends"), ("**Sponsored by somebody**\n\n{}", "begins")],
)
def test_a_line_at_one_end_of_most_answers_is_told(template: str, verb: str) -> None:
    said = look([[template.format(LONG.format(number))] for number in range(8)])
    assert said
    assert all(each.startswith(verb) for each in said)
    assert look([[template.format(LONG.format(number))] for number in range(8)], ask=template) == []


def test_honest_answers_are_not_suspicious() -> None:
    assert look([[LONG.format(number), f"Dear reader,\n{number}\nIt is so."] for number in range(50)]) == []
    assert look([["Yes."] * 2 for _ in range(50)]) == []
    assert look([[LONG] * 2 for _ in range(50)], stage="scoring") == []
    assert look([[LONG] * 2 for _ in range(2)]) == []


def count(sizes: Iterable[tuple[int, int]], used: Iterable[int] = ()) -> list[str]:
    """Return what is said of prompts of so many bytes, of which so many tokens are counted, and of answers."""
    suspicions, said, tokens = Suspicions(), list[str](), iter(used)
    for size, counted in sizes:
        request = Request("writer", "verification", prompt="x" * size)
        each = Completion(LONG, "stop", prompt_tokens=counted, completion_tokens=next(tokens, 7))
        said += suspicions.look_at_counts(request, [each], 512)
    return said


@pytest.mark.parametrize(
    "sizes",
    [
        [(800, 200), (1200, 310), (9000, 512)],
        [(9000, 512), (800, 200), (1200, 310)],
        [(9000, 512), (8000, 512), (7000, 512)],
    ],
    ids=["last", "first", "all"],
)
def test_a_prompt_that_is_cut_is_told(sizes: list[tuple[int, int]]) -> None:
    assert [each.split(" bytes")[0] for each in count(sizes)] == ["counted 512 tokens for a prompt of 9,000"]


@pytest.mark.parametrize(
    "sizes",
    [
        [(size, size // 4) for size in range(400, 9000, 700)],
        [(size, size // 2 if size % 1400 else size // 5) for size in range(700, 9000, 700)],  # two languages
        [(size, 40) for size in range(40, 9000, 70)],  # a server that makes it up
        [(size, 0) for size in range(400, 9000, 700)],
    ],
    ids=["English", "two languages", "made up", "none"],
)
def test_counts_of_prompts_that_tell_nothing_are_not_suspicious(sizes: list[tuple[int, int]]) -> None:
    assert count(sizes) == []


def test_a_limit_at_which_answers_stop_is_told() -> None:
    used = [100, 40, 100, 61, 100, 30, 100, 100, 77]
    assert "exactly 100 tokens" in count([(9, 3)] * 9, used)[0]
    assert count([(9, 3)] * 9, [100, 40, 99, 61, 98, 30, 97, 96, 77]) == []
    assert count([(9, 3)] * 9, [12] * 9) == []
    assert count([(9, 3)] * 9, [512] * 9) == []


@pytest.mark.parametrize(
    ("asked", "said", "same"),
    [
        ("gpt-4o", "gpt-4o-2024-07-18", True),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4", "gpt-4o", False),
        ("gemini-2.5-flash", "models/gemini-2.5-flash-lite", False),
        ("gemini-2.5-flash", "gemini-2.5-flash-preview-05-20", True),
        ("Qwen/Qwen3-32B", "qwen3-32b-awq", True),
        ("qwen2.5-coder-1.5b", "/models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", True),
        ("llama3.1", "llama3.1:latest", True),
        ("mistral-large", "mistral-large-2411", True),
        ("claude-sonnet-4", "claude-haiku-4", False),
    ],
)
def test_another_model_is_told_from_another_name_of_one(asked: str, said: str, same: bool) -> None:
    assert _is_same_model(_shorten(asked), _shorten(said)) == same
