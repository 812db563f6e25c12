"""How well a judge tells contradictions: precision and recall, with 95 % Wilson intervals (docs/nli.md).

    python benchmarks/nli.py                                  the embedded model, asked as autoif asks it
    python benchmarks/nli.py --base-url http://…/v1 --model M  a model at an OpenAI-compatible server
    python benchmarks/nli.py --nli transformers:FOLDER_OR_NAME  a sequence classifier
    python benchmarks/nli.py --prompts                        every prompt that was tried, on the choosing half

The instruction pairs are split by premise: the prompt was chosen on one half, what is reported comes from the other.
Of the public sets, seeded samples of parts that no prompt was chosen on. Answers are kept in --answers.
"""

import argparse
import asyncio
import csv
import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from autoif.models.client import ChatClient
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import Endpoint
from autoif.models.nli import LABELS, ChatNli, Nli, TransformersNli
from autoif.models.requests import Chat, Completion, Request
from autoif.models.stored_answers import StoredAnswers
from autoif.prompts import load_packaged
from recordings import find_recordings

HERE = Path(__file__).parent
NOT_ENTAILMENT = "not_entailment"


@dataclass(frozen=True)
class Pair:
    """A labelled pair; RTE's second label is `not_entailment`, which says nothing about contradiction."""

    premise: str
    hypothesis: str
    label: str


# ---- the sets


def instruction_pairs(half: int) -> list[Pair]:
    """Return the pairs of every second premise, in an order of premises that depends on nothing else."""
    lines = (HERE / "data" / "nli_instruction_pairs.jsonl").read_text("utf-8").splitlines()
    pairs = [Pair(**json.loads(line)) for line in lines]
    premises = sorted({pair.premise for pair in pairs}, key=lambda premise: hashlib.sha256(premise.encode()).digest())
    chosen = set(premises[half::2])
    return [pair for pair in pairs if pair.premise in chosen]


def snli() -> list[Pair]:
    lines = find_recordings("nli/snli_part/snli_1.0_test_part.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return [Pair(row["sentence1"], row["sentence2"], row["gold_label"]) for row in rows if row["gold_label"] in LABELS]


def sick() -> list[Pair]:
    rows = _table(find_recordings("nli/sick2014/SICK_test_annotated.txt"))
    return [Pair(row["sentence_A"], row["sentence_B"], row["entailment_judgment"].lower()) for row in rows]


def med() -> list[Pair]:
    return [
        Pair(row["sentence1"], row["sentence2"], row["gold_label"])
        for row in _table(find_recordings("nli/med/MED.tsv"))
    ]


def rte() -> list[Pair]:
    return [
        Pair(row["sentence1"], row["sentence2"], row["label"])
        for row in _table(find_recordings("nli/rte_glue/dev.tsv"))
    ]


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


SETS: dict[str, Callable[[], list[Pair]]] = {
    "instruction pairs": lambda: instruction_pairs(1),
    "SNLI test": snli,
    "SICK test": sick,
    "MED": med,
    "RTE dev": rte,
}


# ---- the prompts that were tried


def read_examples() -> tuple[tuple[str, str, str], ...]:
    """Return the labelled pairs of the packaged prompt: premise, hypothesis, label."""
    text = load_packaged("nli_completion").text
    return tuple(re.findall(r"^Premise: (.+)\nHypothesis: (.+)\nLabel: (\w+)$", text, re.MULTILINE))


EXAMPLES = read_examples()


@dataclass(frozen=True)
class Prompt:
    """One way to ask a language model for a label."""

    name: str
    examples: Sequence[tuple[str, str, str]] = EXAMPLES
    question: str = "Premise: {}\nHypothesis: {}\nLabel:"
    words: tuple[str, ...] = LABELS
    """What it is to write for entailment, neutral and contradiction."""
    task: str = ""
    chat: bool = False
    logprobs: bool = True
    """Compare the words' probabilities, or else read the word that it writes."""
    calibrated: bool = False
    """Divide by the probabilities for a pair without content."""


_TASK = f"Label how the hypothesis relates to the premise. Answer with one word: {', '.join(LABELS)}."
_DEFINITION = (
    "A second rule for a text is compared with a first one. entailment: it says the same; neutral: it says something "
    "else that can be true as well; contradiction: it says the opposite, or another number, word or character."
)
_COMMAS, _NO_COMMAS, _YES, _VERY, _LINES, _FULL_STOP, _FOUR_LINES, _CAPITALS = EXAMPLES
_HEADINGS = ("Use Markdown headings.", "One or more lines must start with '#'.", "entailment")
_CITY = ("Mention a city.", "The text must mention a city and a river.", "neutral")
_BRACKETS = ("Put the name in round brackets.", "The name must stand between two asterisks.", "contradiction")
_PARAGRAPHS = ("Use no abbreviations.", "The text must have at most two paragraphs.", "neutral")
_MONTHS = ("Spell out the months.", "Months must be written as words and not as numbers.", "entailment")
_SIX = (_COMMAS, _NO_COMMAS, _YES, _HEADINGS, _VERY, _CITY)
_TWELVE = (*_SIX, _CAPITALS, _FULL_STOP, _FOUR_LINES, _BRACKETS, _PARAGRAPHS, _MONTHS)
_FOUR_CONTRADICTIONS = (_HEADINGS, _NO_COMMAS, _YES, _VERY, _CITY, _FOUR_LINES, _BRACKETS, _COMMAS)
_SHIPPED = Prompt("eight examples (shipped)")

PROMPTS = (
    _SHIPPED,
    replace(_SHIPPED, name="eight examples, calibrated", calibrated=True),
    replace(_SHIPPED, name="eight examples, in reverse", examples=EXAMPLES[::-1]),
    replace(_SHIPPED, name="eight examples, second half first", examples=EXAMPLES[4:] + EXAMPLES[:4]),
    replace(_SHIPPED, name="eight examples, four of contradiction", examples=_FOUR_CONTRADICTIONS),
    replace(_SHIPPED, name="the first six examples", examples=EXAMPLES[:6]),
    replace(_SHIPPED, name="twelve examples", examples=_TWELVE),
    replace(
        _SHIPPED,
        name="eight examples, after a definition",
        task=_DEFINITION,
        question="First: {}\nSecond: {}\nLabel:",
    ),
    replace(
        _SHIPPED,
        name="same / different / opposite",
        question="Rule 1: {}\nRule 2: {}\nRule 2 is",
        words=("same", "different", "opposite"),
    ),
    replace(
        _SHIPPED,
        name="equal / independent / wrong, twelve examples",
        examples=_TWELVE,
        question="Rule 1: {}\nRule 2: {}\nCompared with rule 1, rule 2 is",
        words=("equal", "independent", "wrong"),
    ),
    replace(
        _SHIPPED,
        name="yes / maybe / no",
        question="Rule: {}\nCheck: {}\nDoes the check fit the rule?",
        words=("yes", "maybe", "no"),
    ),
    Prompt("chat, no example, one word", (), task=_TASK, chat=True, logprobs=False),
    Prompt("chat, eight examples, one word", task=_TASK, chat=True, logprobs=False),
    Prompt("chat, eight examples, by probability", task=_TASK, chat=True),
)


class PromptedNli:
    """Labels pairs with one of the prompts."""

    def __init__(self, chat: Chat, prompt: Prompt) -> None:
        self._chat = chat
        self._prompt = prompt

    async def label(self, pairs: Sequence[Pair]) -> list[str]:
        without_content = await self._score("N/A", "N/A") if self._prompt.calibrated else (0.0, 0.0, 0.0)
        scores = await asyncio.gather(*(self._score(pair.premise, pair.hypothesis) for pair in pairs))
        return [
            max(zip(LABELS, row, without_content, strict=True), key=lambda each: each[1] - each[2])[0] for row in scores
        ]

    async def _score(self, premise: str, hypothesis: str) -> tuple[float, ...]:
        """Return the log-probabilities of the three words; 0 and minus infinity where the word is read."""
        prompt = self._prompt
        [completion] = await self._chat.sample(self._request(premise, hypothesis))
        if not prompt.logprobs:
            found = next((i for i, word in enumerate(prompt.words) if word in completion.text.lower()), 1)
            return tuple(0.0 if index == found else -math.inf for index in range(3))
        return tuple(_logprob(word, completion) for word in prompt.words)

    def _request(self, premise: str, hypothesis: str) -> Request:
        prompt = self._prompt
        shown = [
            (prompt.question.format(first, second), prompt.words[LABELS.index(label)])
            for first, second, label in prompt.examples
        ]
        asked = prompt.question.format(premise, hypothesis)
        top = 5 if prompt.logprobs else 0
        if not prompt.chat:
            text = "".join(f"{question} {answer}\n\n" for question, answer in shown)
            task = f"{prompt.task}\n\n" if prompt.task else ""
            return Request(role="judge", stage="nli", prompt=task + text + asked, max_tokens=1, top_logprobs=top)
        turns = [("system", prompt.task)]
        for question, answer in shown:
            turns += [("user", question), ("assistant", answer)]
        messages = (*turns, ("user", asked))
        return Request(role="judge", stage="nli", messages=messages, max_tokens=8, top_logprobs=top)


def _logprob(word: str, completion: Completion) -> float:
    begun = [value for token, value in completion.logprobs if token.strip() and word.startswith(token.strip().lower())]
    floor = min((value for _, value in completion.logprobs), default=-20.0)
    return math.log(sum(map(math.exp, begun))) if begun else floor


# ---- figures


def wilson(hits: int, of: int) -> str:
    """Return a share with its 95 % interval, as in "0.80 [0.71, 0.87]"."""
    if not of:
        return "–"
    z, share = 1.96, hits / of
    centre, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = (centre - spread) / (1 + z * z / of), (centre + spread) / (1 + z * z / of)
    return f"{share:.2f} [{low:.2f}, {high:.2f}]"


def print_row(name: str, pairs: Sequence[Pair], labels: Sequence[str]) -> None:
    """Print one line of the table: contradictions found, and what is called one wrongly."""

    def count(gold: str, label: str) -> int:
        return sum(pair.label == gold and given == label for pair, given in zip(pairs, labels, strict=True))

    golds = [pair.label for pair in pairs]
    hits = count("contradiction", "contradiction")
    known = "contradiction" in golds
    called = list(labels).count("contradiction")
    right = sum(gold == label for gold, label in zip(golds, labels, strict=True))
    cells = [
        name,
        str(len(pairs)),
        wilson(hits, called) if known else "–",
        wilson(hits, golds.count("contradiction")),
        wilson(count("entailment", "contradiction"), golds.count("entailment")),
        wilson(count("neutral", "contradiction"), golds.count("neutral")),
        "–" if NOT_ENTAILMENT in golds else wilson(right, len(pairs)),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def print_head(first: str) -> None:
    print(
        f"| {first} | pairs | precision | recall | entailment called contradiction | neutral called contradiction "
        "| three-way accuracy |\n|---|---|---|---|---|---|---|",
        flush=True,
    )


# ---- the two tables


async def measure(nli: Nli, count: int) -> None:
    """Print one row for each set: seeded samples of at most `count` pairs; all instruction pairs."""
    print_head("set")
    for name, load in SETS.items():
        pairs = load()
        if name != "instruction pairs":
            pairs = random.Random(0).sample(pairs, min(count, len(pairs)))
        judgements = await nli.judge([(pair.premise, pair.hypothesis) for pair in pairs])
        print_row(name, pairs, [judgement.label for judgement in judgements])


async def compare(chat: Chat) -> None:
    """Print one row for each prompt, on the half that the prompt was chosen on."""
    pairs = instruction_pairs(0)
    print_head("prompt")
    for prompt in PROMPTS:
        print_row(prompt.name, pairs, await PromptedNli(chat, prompt).label(pairs))


async def run(arguments: argparse.Namespace) -> None:
    if arguments.nli != "chat":
        await measure(TransformersNli(arguments.nli.removeprefix("transformers:")), arguments.pairs)
        return
    endpoint = Endpoint(base_url=arguments.base_url, model=arguments.model, concurrency=8, timeout_s=3600)
    with ExitStack() as stack:
        if not arguments.base_url:
            endpoint = stack.enter_context(EmbeddedServer(arguments.model)).endpoint(endpoint)
        async with StoredAnswers(arguments.answers) as answers, ChatClient({"judge": endpoint}, answers) as chat:
            await (compare(chat) if arguments.prompts else measure(ChatNli(chat), arguments.pairs))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nli", default="chat", help="chat, or transformers:FOLDER_OR_NAME")
    parser.add_argument("--base-url", default="", help="an OpenAI-compatible server; the embedded model without it")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--pairs", type=int, default=150, help="of each public set")
    parser.add_argument("--prompts", action="store_true", help="compare the prompts that were tried")
    parser.add_argument("--answers", type=Path, default=Path("runs") / "nli-answers.sqlite")
    arguments = parser.parse_args()
    arguments.answers.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(arguments))
