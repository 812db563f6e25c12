"""§3.2, natural language inference: does a back-translation contradict the instruction?

The paper's judge is a sequence classifier (`TransformersNli`, extra `nli`). Where it isn't installed, the language
model completes a text of labelled pairs (`ChatNli`), and the probabilities of the labels are compared (docs/nli.md).
"""

import asyncio
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

from autoif.errors import BudgetExhausted, ConfigError, ModelError, in_one_line
from autoif.models.requests import Chat, Completion, Request
from autoif.prompts import Prompts

Label = Literal["entailment", "neutral", "contradiction"]
LABELS: tuple[Label, ...] = get_args(Label)

_ALTERNATIVES = 5
"""OpenAI's limit for plain completions; with every model tried, the labels came first."""
_MAX_CHARS = 600
"""Characters of a back-translation that are judged. A longer one describes no single demand, and its start will do."""
_DENIAL_CHARS = 60
"""Characters before a label that are searched for a denial."""


@dataclass(frozen=True, slots=True)
class NliJudgement:
    """How a hypothesis relates to its premise."""

    label: Label
    score: float
    """Probability of the label, 0 to 1, in four digits; 1 if the model only named it, 0 if it named none."""
    source: str
    """The judge, such as `chat/logprobs` or the name of a classifier."""


UNTOLD = NliJudgement(label="neutral", score=0.0, source="chat/unreadable")
"""The judgement of a pair that can't be judged."""


class Nli(Protocol):
    """The interface of everything that labels pairs."""

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[NliJudgement]:
        """Return a judgement for each (premise, hypothesis), in order."""
        ...


def choose_nli() -> Literal["transformers", "chat"]:
    """Return what `auto` means on this machine: the classifier if its packages are installed, else the chat model."""
    return "transformers" if _has_transformers() else "chat"


def open_nli(
    kind: Literal["auto", "transformers", "chat"], model: str, chat: Chat, prompts: Prompts | None = None
) -> Nli:
    """Return the judge that the config asks for; `prompts` are for the language model.

    Raises ConfigError: the classifier is asked for, and the `nli` extra is not installed.
    """
    if kind == "auto":
        kind = choose_nli()
    return ChatNli(chat, prompts) if kind == "chat" else TransformersNli(model)


class ChatNli:
    """Asks the judge's model: by the log-probabilities of a plain completion, or in a chat where there are none."""

    def __init__(self, chat: Chat, prompts: Prompts | None = None) -> None:
        self._chat = chat
        self._prompts = prompts or Prompts()
        self._completes = True

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[NliJudgement]:
        """Return a judgement for each (premise, hypothesis), in order.

        Raises ModelError: the judge's endpoint can't be used in either way.
        """
        return list(await asyncio.gather(*(self._judge(premise, hypothesis, seed) for premise, hypothesis in pairs)))

    async def _judge(self, premise: str, hypothesis: str, seed: int) -> NliJudgement:
        premise, hypothesis = _one_line(premise), _one_line(hypothesis)
        if not hypothesis:  # a back-translation that says nothing contradicts nothing
            return UNTOLD
        if self._completes:
            try:
                completion = await self._ask(
                    seed, prompt=self._prompts.nli_completion.fill_text(premise=premise, hypothesis=hypothesis)
                )
            except BudgetExhausted:
                raise
            except ModelError:  # perhaps the endpoint has no plain completions; if it has no chat either, this raises
                judgement = await self._judge_in_chat(premise, hypothesis, seed)
                self._completes = False
                return judgement
            if judged := _read_logprobs(completion) or _read_word(completion, "chat/completion"):
                return judged
        return await self._judge_in_chat(premise, hypothesis, seed)

    async def _judge_in_chat(self, premise: str, hypothesis: str, seed: int) -> NliJudgement:
        completion = await self._ask(seed, messages=self._prompts.nli.fill(premise=premise, hypothesis=hypothesis))
        return _read_word(completion, "chat/word") or UNTOLD

    async def _ask(self, seed: int, *, prompt: str = "", messages: tuple[tuple[str, str], ...] = ()) -> Completion:
        [completion] = await self._chat.sample(
            Request(
                role="judge",
                stage="back_translation",
                prompt=prompt,
                messages=messages,
                max_tokens=1 if prompt else 16,
                top_logprobs=_ALTERNATIVES if prompt else 0,
                seed=seed,
            )
        )
        return completion


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_CHARS]


def _read_logprobs(completion: Completion) -> NliJudgement | None:
    """Return the likeliest label, by the tokens that begin its word; None if no token begins one.

    The score is the label's share of the probability of all three.
    """
    mass: dict[Label, float] = dict.fromkeys(LABELS, 0.0)
    for token, logprob in completion.logprobs:
        if label := _label_that_begins(token):
            mass[label] += math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    if not total:
        return None
    likeliest = max(LABELS, key=mass.__getitem__)
    return NliJudgement(label=likeliest, score=round(mass[likeliest] / total, 4), source="chat/logprobs")


def _label_that_begins(token: str) -> Label | None:
    start = token.strip().lower()
    return next((label for label in LABELS if start and label.startswith(start)), None)


_NAMED = re.compile(r"entail|neutral|contradict")
_DENIED = re.compile(
    r"(?:\b(?:not?|never|neither|nor|cannot|without|rather than|instead of)|n['’]t)\s+(?:\w+\s+){0,2}[\"'*`]*$"
)
"""Words before a label that rule it out, such as "not a", "doesn't", "neither"."""


def _read_word(completion: Completion, source: str) -> NliJudgement | None:
    """Return the first label that an answer names and doesn't rule out, or that it begins; None if there is none."""
    text = completion.text.lower()
    names = list(_NAMED.finditer(text))
    named = next((name for name in names if not _DENIED.search(text[: name.start()][-_DENIAL_CHARS:])), None)
    if names and named is None:
        return None
    label = _label_that_begins(named[0] if named else text)
    return NliJudgement(label=label, score=1.0, source=source) if label else None


class TransformersNli:
    """A sequence classifier of `transformers`. It is loaded for the first pair, kept, and run in a thread."""

    def __init__(self, model: str, *, batch_size: int = 32) -> None:
        """`model` is a name on the Hugging Face hub or a local folder.

        Raises ConfigError: the `nli` extra is not installed.
        """
        if not _has_transformers():
            raise ConfigError(
                "an NLI model needs torch and transformers: pip install 'autoif[nli]', or set back_translation.nli=chat"
            )
        self._model = model
        self._batch_size = batch_size
        self._loaded: tuple[Any, Any, tuple[Label, ...]] | None = None
        self._lock = asyncio.Lock()

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[NliJudgement]:
        """Return a judgement for each (premise, hypothesis), in order. A classifier has no use for `seed`.

        Raises ModelError: the model can't be loaded, or is no three-way NLI model.
        """
        async with self._lock:
            return await asyncio.to_thread(self._judge, pairs)

    def _judge(self, pairs: Sequence[tuple[str, str]]) -> list[NliJudgement]:
        import torch

        tokenizer, model, labels = self._loaded = self._loaded or self._load()
        judgements = []
        for start in range(0, len(pairs), self._batch_size):
            premises, hypotheses = zip(*pairs[start : start + self._batch_size], strict=True)
            inputs = tokenizer(list(premises), list(hypotheses), truncation=True, padding=True, return_tensors="pt")
            with torch.inference_mode():
                rows = model(**inputs).logits.float().softmax(dim=-1).tolist()
            for row in rows:
                label, score = max(zip(labels, row, strict=True), key=lambda each: each[1])
                judgements.append(NliJudgement(label=label, score=round(score, 4), source=self._model))
        return judgements

    def _load(self) -> tuple[Any, Any, tuple[Label, ...]]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._model, trust_remote_code=False)
            model = AutoModelForSequenceClassification.from_pretrained(self._model, trust_remote_code=False).eval()
        except Exception as error:  # hub, safetensors, tokenizer and operating system raise errors of their own
            why = in_one_line(error)
            raise ModelError(
                f"the NLI model {self._model} can't be loaded ({why}): set back_translation.nli=chat, or "
                "back_translation.nli_model to a local folder"
            ) from error
        return tokenizer, model, _read_labels(model.config.id2label.values(), self._model)


def _read_labels(names: Iterable[str], model: str) -> tuple[Label, ...]:
    names = tuple(names)
    found = tuple(label for name in names for label in LABELS if name.lower().startswith(label[:6]))
    if len(names) != len(LABELS) or set(found) != set(LABELS):
        raise ModelError(
            f"{model} is no NLI model: its labels are {', '.join(names)}, and not {', '.join(LABELS)}; set nli_model"
        )
    return found


def _has_transformers() -> bool:
    return find_spec("transformers") is not None and find_spec("torch") is not None
