"""NLI: how labels are read from a language model and from a classifier, and what happens where neither can tell."""

import json
import math
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from autoif.errors import BudgetExhausted, ConfigError, ModelError
from autoif.models import nli
from autoif.models.nli import LABELS, ChatNli, NliJudgement, TransformersNli, open_nli
from autoif.models.requests import Completion, Request
from autoif.prompts import load_packaged
from support.scripted import ScriptedChat

PAIR = ("Use no commas.", "The text must be free of commas.")
EXAMPLES = re.findall(
    r"^Premise: (.+)\nHypothesis: (.+)\nLabel: (\w+)$", load_packaged("nli_completion").text, re.MULTILINE
)
PAIRS_FILE = Path(__file__).parents[1] / "benchmarks" / "data" / "nli_instruction_pairs.jsonl"


def first_token(*alternatives: tuple[str, float]) -> Completion:
    """A plain completion of one token whose alternatives have these probabilities."""
    logprobs = tuple((token, math.log(probability)) for token, probability in alternatives)
    return Completion(text=alternatives[0][0], finish_reason="length", logprobs=logprobs)


def answering(plain: Completion, chat: str = "") -> ScriptedChat:
    return ScriptedChat(lambda request, _: plain if request.prompt else chat)


async def judge(chat: ScriptedChat, *pairs: tuple[str, str]) -> list[NliJudgement]:
    return await ChatNli(chat).judge(pairs or (PAIR,))


# ---- the prompt


def test_the_label_words_can_be_told_apart_by_their_first_letter() -> None:
    assert len({word[0] for word in LABELS}) == len(LABELS) == 3


def test_each_label_has_an_example_and_none_has_most_of_them() -> None:
    labels = [label for _, _, label in EXAMPLES]
    assert set(labels) == set(LABELS)
    assert max(labels.count(label) for label in LABELS) * 2 <= len(labels)


def test_the_prompt_for_chat_has_the_same_examples() -> None:
    turns = load_packaged("nli").fill(premise="P", hypothesis="H")
    shown = [f"{question[1]} {label[1]}" for question, label in zip(turns[1:-1:2], turns[2::2], strict=True)]
    assert shown == [f"Premise: {first}\nHypothesis: {second}\nLabel: {label}" for first, second, label in EXAMPLES]
    assert turns[-1] == ("user", "Premise: P\nHypothesis: H\nLabel:")


def test_no_example_of_the_prompt_is_a_pair_that_it_is_measured_on() -> None:
    measured = {json.loads(line)["premise"] for line in PAIRS_FILE.read_text("utf-8").splitlines()}
    assert len(measured) > 25
    assert not measured & {premise for premise, _, _ in EXAMPLES}


def test_the_pairs_that_the_prompt_is_measured_on_are_balanced() -> None:
    labels = [json.loads(line)["label"] for line in PAIRS_FILE.read_text("utf-8").splitlines()]
    assert set(labels) == set(LABELS)
    assert all(30 <= labels.count(label) <= 40 for label in LABELS)


async def test_prompts_share_all_but_the_pair_so_that_a_prefix_cache_holds_the_rest() -> None:
    chat = answering(first_token((" " + "neutral", 1.0)))
    await judge(chat, ("First rule.", "First check."), ("Other rule.", "Other check."))
    one, other = (request.prompt for request in chat.requests)
    fixed = load_packaged("nli_completion").text.split("{premise}")[0]
    assert len(fixed) > 200
    assert one.startswith(fixed)
    assert other.startswith(fixed)
    assert one[len(fixed) :].count("\n") <= 3
    assert not one.endswith(" ")  # the label's token brings its space


async def test_a_pair_is_one_line_each_and_not_longer_than_a_rule_may_be() -> None:
    chat = answering(first_token((" " + "neutral", 1.0)))
    await judge(chat, ("Use\nno\n\ncommas.", "word " * 10_000))
    [request] = chat.requests
    assert "Use no commas." in request.prompt
    assert len(request.prompt) < 4_000


async def test_the_judge_is_asked_for_one_token_with_its_alternatives() -> None:
    chat = answering(first_token((" " + "neutral", 1.0)))
    await ChatNli(chat).judge([PAIR], seed=7)
    [request] = chat.requests
    assert (request.role, request.stage, request.max_tokens, request.temperature) == ("judge", "back_translation", 1, 0)
    assert request.top_logprobs > 0
    assert request.seed == 7


# ---- labels by log-probability


@pytest.mark.parametrize("label", LABELS)
async def test_the_most_probable_label_wins_and_its_score_is_its_share_of_the_three(label: nli.Label) -> None:
    others = [each for each in LABELS if each != label]
    completion = first_token((" " + label, 0.6), (" " + others[0], 0.2), ("\n", 0.1), (" " + others[1], 0.1))
    [judgement] = await judge(answering(completion))
    assert judgement == NliJudgement(label=label, score=round(0.6 / 0.9, 4), source="chat/logprobs")


async def test_spellings_of_a_label_count_together_whatever_their_case_and_space() -> None:
    same, opposite = "entailment", "contradiction"
    completion = first_token(
        (" " + opposite, 0.4), (" " + same, 0.3), (same[:2], 0.1), (same.capitalize(), 0.1), (" ", 0.1)
    )
    [judgement] = await judge(answering(completion))
    assert (judgement.label, judgement.score) == ("entailment", round(0.5 / 0.9, 4))


async def test_without_log_probabilities_the_completed_word_is_the_label() -> None:
    [judgement] = await judge(answering(Completion(text=" con", finish_reason="length")))
    assert judgement == NliJudgement(label="contradiction", score=1.0, source="chat/completion")


async def test_judgements_come_in_the_order_of_the_pairs() -> None:
    def answer(request: Request, _: int) -> Completion:
        label = "contradiction" if "wrong" in request.prompt else "entailment"
        return first_token((" " + label, 1.0))

    labels = [one.label for one in await judge(ScriptedChat(answer), ("a", "wrong"), ("a", "right"), ("b", "wrong"))]
    assert labels == ["contradiction", "entailment", "contradiction"]


async def test_no_pairs_need_no_answer() -> None:
    assert await ChatNli(ScriptedChat()).judge([]) == []


async def test_a_back_translation_that_says_nothing_is_neutral_and_not_asked_about() -> None:
    [judgement] = await judge(ScriptedChat(), ("Use no commas.", " \n"))
    assert (judgement.label, judgement.score) == ("neutral", 0.0)


# ---- labels in chat


@pytest.mark.parametrize(
    ("text", "label", "score"),
    [
        ("contradiction", "contradiction", 1.0),
        (" **ENTAILMENT**.", "entailment", 1.0),
        ("The rules are neutral because they are not about the same thing", "neutral", 1.0),
        ("The hypothesis contradicts the premise.", "contradiction", 1.0),
        ("contr", "contradiction", 1.0),
        ("I can't tell.", "neutral", 0.0),
        ("not entailment", "neutral", 0.0),
        ("It does not contradict the premise; entailment", "entailment", 1.0),
        ("No contradiction: entailment", "entailment", 1.0),
        ("This isn't a clear contradiction, it is neutral.", "neutral", 1.0),
        ("Neither entailment nor contradiction", "neutral", 0.0),
        ("contradiction, not entailment", "contradiction", 1.0),
        ("entailment, because there is no contradiction", "entailment", 1.0),
        ("The hypothesis has no commas, so contradiction", "contradiction", 1.0),
        ("It says not to use commas: entailment", "entailment", 1.0),
        ("", "neutral", 0.0),
    ],
)
async def test_a_label_in_chat_is_read_from_what_models_write(text: str, label: str, score: float) -> None:
    no_label = first_token(("\n", 0.9), ("1", 0.1))
    [judgement] = await judge(answering(no_label, chat=text))
    assert (judgement.label, judgement.score) == (label, score)


async def test_an_endpoint_without_plain_completions_is_asked_in_chat_from_then_on() -> None:
    chat = NoCompletions("contradiction")
    judgements = await ChatNli(chat).judge([PAIR])
    assert [(one.label, one.source) for one in judgements] == [("contradiction", "chat/word")]
    judge_ = ChatNli(chat)
    await judge_.judge([PAIR])
    chat.requests.clear()
    await judge_.judge([PAIR, PAIR])
    assert [bool(request.prompt) for request in chat.requests] == [False, False]
    roles = [role for role, _ in chat.requests[0].messages]
    assert roles == ["system", *("user", "assistant") * len(EXAMPLES), "user"]


async def test_an_endpoint_that_can_do_neither_is_an_error() -> None:
    with pytest.raises(ModelError, match="no chat either"):
        await ChatNli(NoCompletions(ModelError("no chat either"))).judge([PAIR])


async def test_a_spent_budget_is_not_taken_for_a_missing_endpoint() -> None:
    with pytest.raises(BudgetExhausted):
        await ChatNli(Spent()).judge([PAIR])


class NoCompletions:
    """An endpoint that knows chat alone, and answers every chat alike."""

    def __init__(self, answer: str | ModelError) -> None:
        self.requests: list[Request] = []
        self._answer = answer

    async def sample(self, request: Request) -> list[Completion]:
        self.requests.append(request)
        if request.prompt:
            raise ModelError("no such page (HTTP 404)")
        if isinstance(self._answer, ModelError):
            raise self._answer
        return [Completion(text=self._answer, finish_reason="stop")]


class Spent:
    async def sample(self, request: Request) -> list[Completion]:
        raise BudgetExhausted("spent")


# ---- a classifier


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sequence classifier of `transformers`, tiny and untrained, with its labels in an order of its own."""
    return save_classifier(tmp_path_factory.mktemp("classifier"), {0: "contradiction", 1: "ENTAILMENT", 2: "neutral"})


def save_classifier(folder: Path, id2label: dict[int, str]) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "use", "no", "commas", "."])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        id2label=id2label,
        label2id={name: index for index, name in id2label.items()},
        initializer_range=3.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def expected_labels(folder: Path, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, float]]:
    """What the model says, one pair at a time and by its own table of labels."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for premise, hypothesis in pairs:
        with torch.no_grad():
            logits = model(**tokenizer(premise, hypothesis, return_tensors="pt", truncation=True)).logits[0]
        row = logits.softmax(-1)
        found.append((model.config.id2label[int(row.argmax())].lower(), float(row.max())))
    return found


async def test_a_classifier_labels_pairs_by_its_own_order_of_labels(classifier: Path) -> None:
    pairs = [("use no", "no use"), ("commas", "use"), ("no no no commas", ". ."), ("use commas .", "no"), ("x", "y z")]
    pairs += [("use " * count, "no " * (9 - count)) for count in range(1, 9)]
    judgements = await TransformersNli(str(classifier), batch_size=2).judge(pairs)
    wanted = expected_labels(classifier, pairs)
    assert len({label for label, _ in wanted}) > 1  # else any order would do
    assert [one.label for one in judgements] == [label for label, _ in wanted]
    assert [one.score for one in judgements] == pytest.approx([score for _, score in wanted], abs=1e-3)
    assert {one.source for one in judgements} == {str(classifier)}


async def test_a_pair_that_is_longer_than_the_model_can_read_is_cut(classifier: Path) -> None:
    [judgement] = await TransformersNli(str(classifier)).judge([("use no " * 500, "commas " * 500)])
    assert 1 / 3 <= judgement.score <= 1


async def test_a_classifier_is_loaded_once_and_works_outside_the_event_loop(
    classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_ = TransformersNli(str(classifier))
    threads: list[str] = []
    load = judge_._load
    monkeypatch.setattr(judge_, "_load", lambda: threads.append(threading.current_thread().name) or load())
    assert len(await judge_.judge([PAIR])) == len(await judge_.judge([PAIR])) == 1
    assert len(threads) == 1
    assert threads[0] != threading.main_thread().name
    assert await judge_.judge([]) == []


async def test_a_classifier_of_other_labels_is_refused_by_naming_them(tmp_path: Path) -> None:
    save_classifier(tmp_path, {0: "entailment", 1: "not_entailment"})
    with pytest.raises(ModelError, match="its labels are entailment, not_entailment"):
        await TransformersNli(str(tmp_path)).judge([PAIR])


async def test_a_model_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"set back_translation\.nli=chat, or back_translation\.nli_model to a"
    ) as caught:
        await TransformersNli(str(tmp_path / "nowhere")).judge([PAIR])
    assert "\n" not in str(caught.value)


async def test_a_damaged_model_file_is_an_error_that_names_the_model(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path, dict(enumerate(LABELS)))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=f"the NLI model {folder} can't be loaded"):
        await TransformersNli(str(folder)).judge([PAIR])


# ---- choosing


def test_auto_takes_the_classifier_where_its_packages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = ScriptedChat()
    assert isinstance(open_nli("auto", "some/model", chat), TransformersNli)
    assert isinstance(open_nli("chat", "some/model", chat), ChatNli)
    monkeypatch.setattr(nli, "find_spec", lambda name: None)
    assert isinstance(open_nli("auto", "some/model", chat), ChatNli)
    with pytest.raises(ConfigError, match=r"pip install 'autoif\[nli\]'"):
        open_nli("transformers", "some/model", chat)


def test_importing_the_module_imports_neither_torch_nor_transformers() -> None:
    script = "import sys, autoif.models.nli; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
