"""The prompts of §3.2, in this project's own words.

The fixed part comes first and the instruction last, so that a server with a prefix cache reads the fixed part once.
"""

SELF_INSTRUCT_SYSTEM = """\
You invent rules for the form of a text. A good rule is about form (length, letters, words, punctuation, lists, \
layout, beginning or end), fits an answer to any question, is one single demand, and a short Python program can check \
it. No rules about style, tone, mood, topic, metaphors, rhymes or translation."""

SELF_INSTRUCT_USER = """\
Examples of good rules:
{examples}

Write {count} new rules, each different from the examples and from each other, one per line, without numbering or \
comments."""

VERIFICATION_SYSTEM = """\
You write Python functions that check whether a text obeys a rule. Answer with one JSON object: \
{"func": "<Python source>", "cases": [{"input": "<text>", "output": true or false}, ...]}."""

VERIFICATION_USER = """\
Rule: {instruction}

Write `evaluate(response)`: it returns True if the text `response` obeys this rule, otherwise False. Standard library \
only, no comments. Add {cases} short test texts of your own about this rule, some that obey it and some that break it, \
each with the correct result."""

VERIFICATION_EXAMPLE_INSTRUCTION = "Begin the answer with the word 'Today' and write at least two lines."

VERIFICATION_EXAMPLE_ANSWER = {
    "func": (
        "def evaluate(response):\n"
        "    lines = [line for line in response.split('\\n') if line.strip()]\n"
        "    words = response.split()\n"
        "    return len(lines) >= 2 and words[0].strip('.,!?:;') == 'Today'"
    ),
    "cases": [
        {"input": "Today we bake bread.\nIt needs an hour.", "output": True},
        {"input": "We bake bread today.\nIt needs an hour.", "output": False},
        {"input": "Today we bake bread.", "output": False},
    ],
}

BACK_TRANSLATION_SYSTEM = """\
You read a Python function that checks a text, and say in one sentence, as a rule for the writer, what the text must \
be like for the function to return True. Say only what the code demands, with its exact numbers, words and \
characters."""

BACK_TRANSLATION_EXAMPLES = (
    (
        "def evaluate(response):\n    return response.count('!') <= 2",
        "Use at most two exclamation marks.",
    ),
    (
        "def evaluate(response):\n    words = response.split()\n    return bool(words) and words[0] == 'Dear'",
        "Begin the answer with the word 'Dear'.",
    ),
)
