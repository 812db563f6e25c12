"""No text that a model or a server writes can hang a reader: each takes time in proportion to the length.

Every reader gets every shape of a hostile text, longer from step to step up to 100 kB, and a clock ends the climb as
soon as one step is too slow. So what is quadratic fails after seconds, and what is exponential before it hangs.
"""

import ast
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import autoif
from autoif.audit.mutation import make_mutants
from autoif.benchmark_wordings import find_wording, is_prompt
from autoif.contamination import overlap, rephrasing
from autoif.datasets.strictness import make_variants
from autoif.evaluation.followbench import judging
from autoif.evaluation.followbench.rules import find_rule
from autoif.evaluation.general import programs
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.faults import form_texts, variants, word_forms
from autoif.faults.checks import check_terms
from autoif.faults.combining import find_broken
from autoif.faults.counts import Count, read_count
from autoif.faults.edges import make_edges
from autoif.faults.forms import read_form
from autoif.faults.kinds import CHARACTER_FORMS
from autoif.faults.metamorphic import make_twins
from autoif.faults.paraphrase import put_plainly
from autoif.faults.parts import read_part
from autoif.faults.things import THINGS
from autoif.faults.wording import is_english, read_terms
from autoif.gate import find_fault
from autoif.instructions import self_instruct
from autoif.instructions.answers import read_function_answer
from autoif.instructions.deduplication import normalise
from autoif.instructions.discrimination import quote, read_ruling
from autoif.instructions.feedback import _describe_error, are_alike
from autoif.instructions.json_reading import find_json
from autoif.instructions.seeds import _read_seed
from autoif.instructions.source_repair import mend_source
from autoif.language import count_non_text, has_foreign_script
from autoif.models import bodies, complaints, dialect, nli, replies
from autoif.models.additions import drop_additions, drop_prompt, find_passed_on
from autoif.models.citations import drop_annotated, drop_marks, drop_numbered
from autoif.models.ends import find_cut
from autoif.models.reasoning import find_opening, split_later, split_reasoning
from autoif.models.repairs import repair_text
from autoif.models.requests import Completion
from autoif.models.server import _is_same_model
from autoif.models.text import clean_text
from autoif.models.tool_calls import is_call
from autoif.models.waits import find_wait_s
from autoif.models.wire import Question, read_server_answer, read_text
from autoif.page.data import find_kind_of_constraint
from autoif.probes import make_near_misses
from autoif.queries.augmentation import join_sentences
from autoif.queries.rejection_sampling import _asks_for_script
from autoif.queries.scoring import read_score, read_yes_or_no
from autoif.reading import turns
from autoif.reading.json_text import load_json
from autoif.reading.lines import clean_line
from autoif.reading.python_tokens import cut_tokens
from autoif.records import Function
from autoif.vocabulary.carrying import carry

Reader = Callable[[str], object]

LONGEST = 100_000
SIZES = [16, 24, 32, 40, 64, 400, 1_600, 6_400, 12_500, 25_000, 50_000, LONGEST]
"""Small steps first: what doubles with each character is caught while it takes a second."""
SLOW_S = 12.0
"""CPU time for 100,000 characters, on a slow machine that counts branches, too."""


def try_(read: Reader, *errors: type[Exception]) -> Reader:
    """Return a reader that may refuse a text in these ways."""

    def attempt(text: str) -> object:
        try:
            return read(text)
        except errors:
            return None

    return attempt


def follow(kind: str, source: str, example: int, target: str = "a {answer} b {answer} c") -> Reader:
    rules = [find_rule(kind, source, example, language) for language in ("en", "zh")]
    return lambda text: [rule(text, target, 5) for rule in rules if rule]


READERS: dict[str, Reader] = {
    "answers": read_function_answer,
    "answers, cut": lambda text: read_function_answer(text, complete=False),
    "answers, function": lambda text: read_function_answer('{"func": "def evaluate(response):\\n    return ' + text),
    "json": lambda text: find_json(text, lambda value: isinstance(value, dict) and "func" in value),
    "source": mend_source,
    "json, ruling": lambda text: (read_ruling(Completion(text, "stop")), quote(text)),
    "feedback": lambda text: (
        _describe_error(f"{text} (line 1)", Function.of("a" + text)),
        are_alike(Function.of(text), Function.of(f"#{text}")),
    ),
    "near misses": make_near_misses,
    "audited instructions": lambda text: (
        is_english(text),
        read_count(text),
        read_terms(text),
        read_part(text),
        make_edges(text),
        read_form(text),
        list(form_texts.make_alliteration(None, [text])),
        list(word_forms.make_ordered(None, [text, "tea"])),
        list(variants.vary_count(Count(2, 2, "word", text), 2, 3)),
        [re.search(phrase, text) for phrase, _ in CHARACTER_FORMS],
        put_plainly(text),
        find_broken(text, lambda words: None),
        [thing.count(text) for thing in THINGS.values()],
        check_terms(read_terms("Use the word 'tea'."))(text),
    ),
    "variants": lambda text: (make_variants(text, "Use the word 'tea'."), make_variants("tea", text)),
    "twins": lambda text: make_twins("Use the word 'tea'.", [text]),
    "mutants": lambda text: make_mutants(f"def evaluate(response):\n    return {text}"),
    "benchmark wordings": lambda text: (find_wording(text), is_prompt(text)),
    "tokens": lambda text: list(cut_tokens(text)),
    "carrying": lambda text: carry(f"x = get_words\n{text}"),
    "lines": clean_line,
    "deduplication": normalise,
    "score": read_score,
    "score, cut": lambda text: read_score(text, complete=False),
    "yes or no": lambda text: read_yes_or_no(Completion(text, "stop")),
    "gate": lambda text: find_fault(text, text[:500], "Repeat it."),
    "language": lambda text: (count_non_text(text), has_foreign_script(text)),
    "augmentation": lambda text: join_sentences(text, text),
    "text": clean_text,
    "reasoning": lambda text: (split_reasoning(text), find_opening(text)),
    "wire": read_text,
    "bodies": try_(lambda text: bodies.read_body(text.encode()), ValueError),
    "bodies, stream": try_(lambda text: bodies.read_body(b"data: " + text.encode("utf-8", "replace")), ValueError),
    "complaints": lambda text: [
        complaint.kind(status)
        for complaint in [replies.read_complaint(text.encode("utf-8", "replace"))]
        for status in (400, 429, 503)
    ],
    "complaints, request": lambda text: (complaints.is_about_request(text), complaints.is_missing_model(text)),
    "wire, asked": lambda text: (
        read_server_answer({"choices": [{"message": {"content": text}, "stop_reason": text}]}, Question(("Why?",))),
        read_server_answer({"choices": [{"finish_reason": text}], "warning": text}, Question((text[:500],))),
    ),
    "what is around an answer": lambda text: (
        repair_text(text, ""), drop_additions(text, ""), drop_prompt(text, [text[:500]]), find_passed_on(text),
        is_call(text, ""), split_later(text, "", is_sure=True), split_later(text, "", is_sure=False),
        find_cut({"stop_reason": text}, {}, ()), _is_same_model(text, text[:9]), drop_marks(text),
    ),
    "citations": lambda text: (
        drop_annotated(text, [{"type": "citation", "text": text[:9]}]),
        drop_numbered(text, {"citations": [1]}),
    ),
    "waits": lambda text: find_wait_s(
        {"Retry-After": text, "RateLimit": text, "RateLimit-Reset": text}, text, {text: text}
    ),
    "turns": lambda text: (turns.parse_turns(f"[{{'role': {text}"), turns.read_transcript(text)),
    "json, rewrites": self_instruct._cut_lines,
    "dialect": lambda text: dialect.narrow(dialect.Dialect(), {"n": 8, "seed": 1, "max_tokens": 99}, text),
    "files": try_(load_json, ValueError),
    "followbench questions": judging._read_question,
    "followbench judge": lambda text: [judging.read_judgement(text, level) for level in (1, 5)],
    "followbench examples": follow("example", "", 0),
    "followbench paragraphs": follow("format", "", 22),
    "followbench benefits": follow("format", "", 30),
    **{
        f"followbench {source}": follow("content", source, 0, "['a', 'b']")
        for source in (
            "E2E", "WIKIEVENTS", "CONLL2003", "BBH_logical", "BBH_time", "gsm_8k",
            "cnn_dailymail", "xsum", "samsum", "gigaword", "arxiv",
        )
    },
    "rephrasing": lambda text: rephrasing.read_answer(text, ()),
    "corrections": lambda text: [
        correction.check(
            {"letter": "#", "let_frequency": 3, "let_relation": "at least", "nth_paragraph": 1, "num_paragraphs": 1,
             "first_word": "a", "n_start": 2, "n_end": 4, "prompt_to_repeat": "a b c d e"}, text, True,
        )
        for correction in CORRECTIONS.values()
    ],
    "programs": programs._FENCE.search,
    "labels": lambda text: nli._read_word(Completion(text, "stop"), ""),
    "words": overlap.split_words,
    "seeds": lambda text: _read_seed(text, None, ""),
    "scripts": _asks_for_script,
    "kinds of constraints": find_kind_of_constraint,
}  # fmt: skip

LENIENT = [name for name in READERS if name.startswith(("answers", "json"))]
"""Those that ask the lenient JSON parser, whose work is counted: each gets other shapes, all together half of them."""

NOT_OF_MODELS = {
    "api.py": "paths of the user",
    "config.py": "names of variables",
    "report/tables.py": "names",
    "contamination/constraint_trials.py": "an instruction and its functions, which were read before",
    "evaluation/followbench/data.py": "a character",
    "evaluation/followbench/recorded.py": "questions that the benchmark wrote",
    "models/catalog.py": "names of files",
    "models/embedded.py": "a complaint of the system's loader",
    "models/endpoint.py": "addresses and names of variables",
    "models/openvino_process.py": "a complaint of OpenVINO's",
    "models/recording.py": "a request's key",
    "page/build.py": "its own template",
    "page/elements.py": "a character",
    "prompts/__init__.py": "templates of the user",
    "markdown.py": "a character",
    "reading/row_files.py": "a line's beginning, or a character",
    "runs/mirror.py": "names of files",
    "runs/remote.py": "an address of the user, a store's complaint",
    "runs/slices.py": "a slice's number, names of files",
    "runs/store.py": "names of files",
    "sweep/settings.py": "a setting",
    "thresholds.py": "a setting",
}
"""Modules with a regular expression or a parser of Python for what no model and no server wrote."""

UNITS = (
    "\\", "'", '"', "'''", '"""', "`", "```", "~~~", "``` ", "```\n", "```json\n", "```json\n{", " ", "\t", "\n",
    "\r\n", " \n", "{", "[", "(", "<", "{ ", '{"', "{'", '["', "{{", "}", "]", '{"a":', '{"a":{', "[[", "[{",
    '{"func": "', "(\"x\" ", "(1,", ': """', ":'''", '""",', ",", ":", ": ", "/*", "//", "#", "# ", "*", "**", "**1",
    "**1.", "* ", "_ ", "- ", "1. ", "1", "9", "1,", "1 and ", "1 ", "0.", "$1", "a", "a ", "a.", "a'", "don't ",
    "'a'", "\\n", "\\'", '\\"', "\\\\n", '\\"a\\": ', "score ", "score: ", "score 1 ", "note: ", '"score" : ',
    "score (0-10) ", "out of ", "1/", "-", "<think>", "</think>", "<think> ", "`<think>`", "<|", "<|a|>",
    "<|channel|>", "<|channel|>final", "[THINK]", "[/THINK]", "<eos>", "<eos> ", "</s>", "</s> ", "<|im_end|> ",
    "\x1b[", "\x1b]", "\x9d", "\x9b1", "\x00", "\ud800", "\u200b", "\ufeff", "def evaluate(", "def evaluate (",
    "async def ", "async  ", "import ", "x =", "return ", "'\n return ", "is ", "has ", "is aing", "ing", "[YES, ",
    "['YES', ", "[-", "['", "a\u0301", "\u0301\u0300", "字", "。", "é", "“", "「", "data: ",
    "Ã©", "Ġ", "▁", "<0x0A>", "&quot;", "&#39;a", ".\nuser\n", "\n\nHuman: ", ".assistant\n\n", "\n<think>\n</think>\n",
    "<think></think>", "<tool_call>", "</tool_call>", "\n<details><summary>Reasoning</summary>", "</details>",
    "[cite: 1]", "【1†",
    '{"choices":[{"delta":{"content":"a"}}]}\ndata: ', "\ndata:", "per day ", "try again in 1 ", "retry ", "<!",
    "a b ", "a  b", "same ", "none", "none ", "+", "=", "a\n\n", "a.b. ", "A.", "Aa. ", "?", "b ", "c",
    "#Initial Instruction + 1 constraint#\n\n#Answer of Initial Instruction + 1 constraint#\n",
)  # fmt: skip
STARTS = ("", "'''", '"""', "'", '"', "```", "{", '{"a": "', "[", "score: ", "<think>", "same 1", "**1. a")
PAIRED = ("\\", " ", "\t", "'", '"', "\\'", '\\"', "(", "[", "a", "1", ",", '":', "\n")
ENDS = ("", "x", "}", "'", "```", "!\n")


PARSERS = {f"re.{name}" for name in ("compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub")}
PARSERS |= {"ast.parse", "ast.literal_eval", "tokenize.generate_tokens"}
ELSEWHERE = ("sandbox/", "training/", "evaluation/official/", "vocabulary/words.py", "vocabulary/layout.py")
"""Tested in test_sandbox_wire_fuzz.py; reads rows, which are JSON; ended from outside (test_checkers.py); tested in
test_vocabulary.py."""


def test_every_module_with_a_regular_expression_is_in_the_table_or_reads_nothing_of_models():
    folder = Path(autoif.__file__).parent
    parsing = set()
    for path in folder.rglob("*.py"):
        name = str(path.relative_to(folder))
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        if called & PARSERS and not name.startswith(ELSEWHERE):
            parsing.add(name)
    tested = set()
    for node in ast.walk(ast.parse(Path(__file__).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autoif."):
            place = node.module.removeprefix("autoif.").replace(".", "/")
            tested |= {f"{place}.py", *(f"{place}/{alias.name}.py" for alias in node.names)}
    assert parsing - tested <= set(NOT_OF_MODELS)


def shapes() -> Iterator[tuple[str, str, str]]:
    """Yield (beginning, what is repeated, end): each unit alone, then the likeliest others, each shape once."""
    alone = (("", unit, end) for unit in UNITS for end in ("", "x"))
    ended = (("", unit, end) for unit in UNITS if unit.isspace() for end in ENDS)
    begun = ((start, unit, "") for unit in PAIRED for start in STARTS)
    yield from dict.fromkeys(itertools.chain(alone, ended, begun))


def write_text(shape: tuple[str, str, str], size: int) -> str:
    start, unit, end = shape
    return start + (unit * (size // len(unit) + 1))[: max(1, size - len(start) - len(end))] + end


def climb(read: Reader, shape: tuple[str, str, str], limit_s: float) -> tuple[int, float]:
    """Return the length at which a text of a shape took too long, and the seconds; (0, the last) if none did.

    From 400 characters on the climb ends early where not even what of the time may grow with the third power of the
    length can reach the limit: all of it, or, where the time grew little more than the length did since the step
    before, the share that a growth misread by 15 % would hide.
    """
    fixed = taken = 0.0
    for previous, size in itertools.pairwise([1, *SIZES]):
        text = write_text(shape, size)
        before, begin = taken, time.process_time()
        read(text)
        taken = time.process_time() - begin
        fixed = fixed or taken
        if taken > limit_s:
            return size, taken
        if size < 400:
            continue
        longer, left = size / previous, LONGEST / size
        grown = max(1.0, (taken - fixed) / ((before - fixed) * longer)) if before > fixed else float("inf")
        share = min(1.0, (1 - 1 / (1.15 * grown)) * longer**2 / (longer**2 - 1))
        if taken * (share * left**3 + (1 - share) * left) < limit_s:
            break
    return 0, taken


def work(steps: float) -> int:
    return sum(1 for _ in range(int(steps)))


def test_the_climb_finds_what_grows_faster_than_the_length_and_lets_pass_what_does_not() -> None:
    begin = time.process_time()
    work(10**7)
    limit_s, shape = (time.process_time() - begin) / 10, ("", "a", "")

    def takes_too_long(power: int, times_the_limit: float) -> bool:
        steps = times_the_limit * 10**6
        return climb(lambda text: work(steps * (len(text) / LONGEST) ** power), shape, limit_s)[0] > 0

    assert all(takes_too_long(power, times) for power, times in ((2, 2), (2, 20), (3, 4), (3, 20)))
    assert not takes_too_long(1, 0.5)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.timeout(180)
def test_a_reader_takes_time_in_proportion_to_the_text(name: str) -> None:
    start, step = (2 * LENIENT.index(name), 13) if name in LENIENT else (0, 1)
    for shape in itertools.islice(shapes(), start, None, step):
        size, taken = climb(READERS[name], shape, SLOW_S)
        assert not size, f"{shape} of {size} characters took {taken:.2f} s"
