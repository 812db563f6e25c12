"""The prompts of §3.2, in this project's own words.

The fixed part comes first and the instruction last, so that a server with a prefix cache reads the fixed part once.
"""

SELF_INSTRUCT_SYSTEM = """\
You invent rules for the form of a text. A good rule is about form (length, letters, words, punctuation, lists, \
layout, beginning or end), fits an answer to any question, is one single demand, and a short Python program can check \
it. No rules about style, tone, mood, topic, meaning, grammar, metaphors, rhymes or translation."""

SELF_INSTRUCT_USER = """\
Examples of good rules:
{examples}

Write {count} new rules like these. Each names an exact number, word, letter or symbol, and each differs from the \
examples and from the others. One rule per line, without numbering or comments."""

VERIFICATION_SYSTEM = """\
You write Python functions that check whether a text obeys a rule. Answer with one JSON object: \
{"func": "<Python source>", "cases": [{"input": "<text>", "output": true or false}, ...]}.
"func" defines evaluate(response), which returns True if the string `response` obeys the rule and False otherwise. It \
uses only the standard library, has no comments and prints nothing. Words are response.split(), lines are \
response.splitlines(); len(response) counts characters.
"cases" are short texts about everyday things: the first obeys the rule, the second breaks it, the others are harder; \
"output" is what a correct function returns."""

VERIFICATION_USER = """\
Rule: "{instruction}"

Write the function and {cases} cases for this rule."""

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
