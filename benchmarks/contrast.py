"""Who chooses functions best, on the small world: `python benchmarks/contrast.py` prints tables of docs/method.md.

Replays the recorded small world, in a minute on two cores, and asks no model. Truth are the checkers written by hand
(examples/small_world/checkers.py).

* Contrast: 60 instructions have recorded responses. The first whole responses to the first eight prompts choose; the
  others measure. Answers without an instruction were not recorded. In their place stands, for each of the eight
  queries, an answer to another instruction; the figures are means over ten draws of these. Cross-validation kept all of
  these instructions, so that what it drops can't be told.
* Better answers: the same choice by other answers to these prompts, of the four that each has. What measures is the
  responses to the last prompts, and answers that were edited to obey, beside the same as they were.
* Two-sidedness: all 129 instructions, measured on every text there is: responses, edited answers, probes, cases.

Thresholds were chosen on two thirds of the instructions; the others are shown apart.

With AUTOIF_DATA set, also what is kept of 582 instructions for which Llama-3.1-8B wrote functions, cases and eight
answers each (to one query). There is no truth: counted is how many instructions are left whose functions refuse all
answers, and how many answers are accepted. Answers to others have other queries here, so that topics have lift, too.
"""

import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

from autoif.audit.material import WrittenInstruction, read_material
from autoif.behaviour import cluster_functions
from autoif.instructions.contrast import choose_functions, choose_speakers, count_behaviours
from autoif.instructions.cross_validation import choose_by_cases
from autoif.judging import compute_pass_rate, judge
from autoif.probes import load_probes
from autoif.records import Answered, Case, Contrast, Draft, Function, Instruction, Matrix, Verdict, VerifiedInstruction
from autoif.runs.store import AUGMENTATION, read_stage
from autoif.sandbox import Limits, Sandbox
from autoif.settings import ContrastSettings, CrossValidation
from autoif.thresholds import Threshold, meets
from recordings import find_recordings
from small_world import WORLD, make_data
from small_world_texts import make_texts

sys.path.insert(0, str(WORLD))
from checkers import make_check

QUERIES = 8
DRAWS = 10
MAJORITY: Threshold = "> 0.5"
GOOD = 0.9


@dataclass(frozen=True)
class Judged:
    """An instruction with the verdicts of all its functions on all texts, and what gold says of these."""

    id: str
    matrix: Matrix
    kept: tuple[int, ...]
    """Places of the functions that cross-validation kept in the run."""
    verdicts: Mapping[str, tuple[Verdict, ...]]
    followed: Mapping[str, bool]
    asked: Sequence[str]
    """The responses that choose."""
    others: Sequence[Sequence[str]]
    """For each query of these the responses to other instructions, one of which stands for a plain answer."""
    held_out: Sequence[str]
    """The responses that measure."""
    samples: Sequence[Sequence[str]] = ()
    """All responses to each prompt that chooses."""
    other_samples: Sequence[Sequence[Sequence[str]]] = ()
    """For each of them all responses to its query with other instructions, by instruction."""
    fresh: Sequence[str] = ()
    """Texts that no answer chosen from the samples is among."""
    draw: int = 0

    @property
    def plain(self) -> list[str]:
        """One of the others for each query."""
        return [text for [text] in self.draw_each([[[text] for text in texts] for texts in self.others])]

    def draw_each(self, of_queries: Sequence[Sequence[Sequence[str]]]) -> list[Sequence[str]]:
        """Return for each query what one of the other instructions has."""
        number = int(hashlib.sha256(f"{self.id} {self.draw}".encode()).hexdigest(), 16)
        return [texts[(number >> 8 * place) % len(texts)] for place, texts in enumerate(of_queries) if texts]

    @property
    def loading(self) -> list[int]:
        texts = load_probes()
        return [place for place in self.places if {self.verdicts[text][place] for text in texts} & _DECIDED]

    @property
    def places(self) -> range:
        return range(len(self.matrix.functions))

    @property
    def sources(self) -> list[str]:
        return [function.source for function in self.matrix.functions]

    @property
    def tried(self) -> list[str]:
        texts = [*load_probes(), *self.asked, *self.plain, *(case.input for case in self.matrix.cases)]
        return list(dict.fromkeys(texts))

    @property
    def two_sided(self) -> list[int]:
        return [place for place in self.loading if {self.verdicts[text][place] for text in self.tried} >= _DECIDED]

    @property
    def evidence(self) -> Contrast:
        """What the stage would have stored."""
        return Contrast(
            asked=tuple(Answered(query_id="", index=0, text=text) for text in self.asked),
            plain=tuple(Answered(query_id="", index=0, text=text) for text in self.plain),
            asked_verdicts=tuple(tuple(self.verdicts[text][place] for text in self.asked) for place in self.places),
            plain_verdicts=tuple(tuple(self.verdicts[text][place] for text in self.plain) for place in self.places),
            lifts=(),
            chosen_by="nothing",
        )


_DECIDED = {Verdict.PASS, Verdict.FAIL}
Choose = Callable[[Judged], Sequence[int]]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        judged = judge_world(Path(folder))
    with_responses = [each for each in judged if each.asked]
    for title, choosers, texts in (("Contrast", CHOOSERS, "held_out"), ("Better answers", ANSWERS, "fresh")):
        for name, part in (("two thirds", False), ("the third aside", True)):
            chosen = [each for each in with_responses if is_aside(each.id) is part]
            print(f"\n{title}, {name}: {len(chosen)} instructions\n")
            draws = [replace(each, draw=draw) for draw in range(DRAWS) for each in chosen]
            print_table(draws, choosers, attrgetter(texts), DRAWS)
    print(f"\nTwo-sidedness, all {len(judged)} instructions\n")
    print_table(judged, FILTERS, lambda each: list(each.verdicts))
    if "AUTOIF_DATA" in os.environ:
        recorded = judge_recorded(find_recordings("verifiers"))
        print(f"\nLlama-3.1-8B, {len(recorded)} instructions\n")
        print_recorded(recorded)


def judge_recorded(folder: Path) -> list[Judged]:
    """Run the functions that Llama-3.1-8B wrote on its cases, its answers, and an answer to each of eight others."""
    with gzip.open(folder / "autoif_llama3_jwrobins94" / "completions.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = {row["instruction"].strip(): row for row in map(json.loads, lines)}
    rows = list(found.values())
    judged = []
    for place, row in enumerate(rows):
        asked = [text.strip() for text in row["completions"]]
        step = [rows[(place + 1 + 71 * number) % len(rows)] for number in range(QUERIES)]
        others = [[each["completions"][number].strip()] for number, each in enumerate(step)]
        known = [case for case in row["test_cases"] if list(map(type, case)) == [str, bool]]
        matrix = Matrix(
            functions=tuple(map(Function.of, row["verifiers"])),
            cases=tuple(Case(input=text, expected=expected) for text, expected in known),
        )
        judged.append(Judged(row["instruction"], matrix, (), {}, {}, asked, others, asked))
    jobs = [(each.sources, text) for each in judged for text in each.tried]
    with Sandbox(Limits(timeout_s=2.0)) as sandbox:
        verdicts = iter(judge(jobs, sandbox))
    return [fill_matrix(replace(each, verdicts={text: next(verdicts) for text in each.tried})) for each in judged]


def fill_matrix(judged: Judged) -> Judged:
    """Return it with the verdicts on its cases in its matrix."""
    columns = [judged.verdicts[case.input] for case in judged.matrix.cases]
    rows = tuple(tuple(column[place] for column in columns) for place in judged.places)
    return replace(judged, matrix=judged.matrix.model_copy(update={"verdicts": rows}))


def print_recorded(instructions: Sequence[Judged]) -> None:
    print("| who chooses | kept | of them: no answer accepted | answers accepted |\n|---|---|---|---|")
    for name, choose in RECORDED.items():
        accepted = []
        for each in instructions:
            if functions := choose(each):
                of_text = [[each.verdicts[text][place] for place in functions] for text in each.asked]
                accepted.append(sum(meets(compute_pass_rate(verdicts), MAJORITY) for verdicts in of_text))
        print(f"| {name} | {len(accepted)} | {accepted.count(0)} | {sum(accepted):,} |")


def is_aside(instruction_id: str) -> bool:
    return int(hashlib.sha256(instruction_id.encode()).hexdigest(), 16) % 3 == 0


def judge_world(folder: Path, run: Path | None = None) -> list[Judged]:
    """Replay the small world into a folder, and run on every text its functions, or those of another run over its
    instructions."""
    make_data(folder)
    prompts = [row["id"] for row in read_stage(folder / "data", AUGMENTATION, "kept")]
    every, sampled = (read_material(each).instructions for each in (run or folder / "instructions", folder / "data"))
    answers = {each.instruction.id: _list_answers(each, prompts) for each in sampled}
    by_query = defaultdict(list)
    for instruction_id, listed in answers.items():
        for _, query_id, index, text in listed:
            if index == 0:
                by_query[query_id].append((instruction_id, text))
    responses = [text for listed in answers.values() for *_, text in listed]
    cases = [case.input for each in every for case in each.matrix.cases]
    edited = [text for each in every for text in make_texts(each.instruction.text)]
    texts = list(dict.fromkeys([*responses, *load_probes(), *cases, *edited]))
    with Sandbox(Limits(timeout_s=5.0)) as sandbox:
        rows = iter(judge([(each.sources, text) for each in every for text in texts], sandbox))
    judged = []
    for each in every:
        listed = answers.get(each.instruction.id, [])
        first = list(dict.fromkeys(prompt for prompt, *_ in listed))[:QUERIES]
        asked = [row for row in listed if row[0] in first and row[2] == 0]
        foreign = [said for other, said in answers.items() if other != each.instruction.id]
        check = make_check(each.instruction.text)
        judged.append(
            Judged(
                id=each.instruction.id,
                matrix=each.matrix,
                kept=each.cross_validated,
                verdicts={text: next(rows) for text in texts},
                followed={text: check(text) for text in texts},
                asked=[text for *_, text in asked],
                others=[[text for other, text in by_query[row[1]] if other != each.instruction.id] for row in asked],
                held_out=[row[3] for row in listed if row not in asked],
                samples=[[row[3] for row in listed if row[0] == prompt] for prompt in first],
                other_samples=[
                    [found for said in foreign if (found := [row[3] for row in said if row[1] == query])]
                    for query in dict.fromkeys(row[1] for row in listed if row[0] in first)
                ],
                fresh=[*(row[3] for row in listed if row[0] not in first), *make_texts(each.instruction.text)],
            )
        )
    return judged


def _list_answers(written: WrittenInstruction, prompts: Sequence[str]) -> list[tuple[int, str, int, str]]:
    """Return the prompt's place, query, index and text of each response, in order."""
    places = {prompt: place for place, prompt in enumerate(prompts)}
    return sorted((places[each.prompt.id], each.prompt.query.id, each.index, each.text) for each in written.responses)


def contrast(**settings: object) -> Choose:
    """Return what chooses as the stage does, with these settings."""
    chosen = ContrastSettings.model_validate(settings)
    return lambda each: choose_functions(each.matrix, each.two_sided, each.evidence, chosen).functions


def by_answers(choose_texts: Callable[[Judged], tuple[Sequence[str], Sequence[str]]]) -> Choose:
    """Return what chooses as the stage does, by other answers."""

    def choose(each: Judged) -> Sequence[int]:
        asked, plain = choose_texts(each)
        if not asked or not plain:
            return ()
        return contrast()(replace(each, asked=asked, others=[[text] for text in plain]))

    return choose


def take_first(each: Judged) -> tuple[Sequence[str], Sequence[str]]:
    return [texts[0] for texts in each.samples], [texts[0] for texts in each.draw_each(each.other_samples)]


def take_all(each: Judged) -> tuple[Sequence[str], Sequence[str]]:
    kinds = each.samples, each.draw_each(each.other_samples)
    asked, plain = ([text for texts in kind for text in texts] for kind in kinds)
    return asked, plain


def take_agreed(each: Judged) -> tuple[Sequence[str], Sequence[str]]:
    """Take of the answers to each query the one that most behaviours accept, as `contrast.agreed` does."""
    kinds = [
        [Answered(query_id=str(query), index=index, text=text) for query, texts in enumerate(kind)
         for index, text in enumerate(texts)]
        for kind in (each.samples, each.draw_each(each.other_samples))
    ]  # fmt: skip
    texts = [answered.text for kind in kinds for answered in kind]
    votes = count_behaviours(
        each.matrix, each.loading, [[each.verdicts[text][at] for text in texts] for at in each.places]
    )
    count = len(kinds[0])
    asked, plain = choose_speakers(kinds[0], votes[:count]), choose_speakers(kinds[1], votes[count:])
    return [texts[place] for place in asked], [texts[count + place] for place in plain]


def take_obeying(each: Judged) -> tuple[Sequence[str], Sequence[str]]:
    """Take the first answers that follow, as many as there are queries: what a responder that obeys would bring."""
    follow = [text for texts in each.samples for text in texts if each.followed[text]]
    return follow[:QUERIES], take_first(each)[1]


def largest_cluster(each: Judged) -> Sequence[int]:
    """Choose the largest behaviour cluster that isn't constant on the probes."""
    places, probes = each.loading, load_probes()
    clusters = cluster_functions([[each.verdicts[text][place] for text in probes] for place in places])
    found = next((cluster for cluster in clusters if not cluster.is_constant), None)
    return [places[member] for member in found.members] if found else []


def by_cases(*, two_sided: bool = False, both_outcomes: bool = False) -> Choose:
    """Return what chooses as cross-validation does, with the paper's thresholds."""
    rules = CrossValidation(both_outcomes=both_outcomes)

    def choose(each: Judged) -> Sequence[int]:
        functions = each.two_sided if two_sided else each.loading
        draft = Draft(id=each.id, instruction=Instruction.of(each.id, "seed"), matrix=each.matrix, answers=())
        chosen = choose_by_cases(draft, functions, rules) if functions else None
        return chosen.kept_functions if isinstance(chosen, VerifiedInstruction) else ()

    return choose


CHOOSERS: dict[str, Choose] = {
    "all that load": lambda each: each.loading,
    "cross-validation, as the run": lambda each: each.kept,
    "largest behaviour cluster that isn't constant": largest_cluster,
    "lift >= 0.1, nothing else": contrast(one_behaviour=False, cases="> 1"),
    "lift >= 0.2, nothing else": contrast(one_behaviour=False, cases="> 1", lift=">= 0.2"),
    "lift >= 0.1, cases without lift": contrast(one_behaviour=False),
    "lift >= 0.1, cases without lift, one behaviour (the default)": contrast(),
    "lift >= 0.2, cases without lift, one behaviour": contrast(lift=">= 0.2"),
}
ANSWERS: dict[str, Choose] = {
    "the first answer to each query": by_answers(take_first),
    "all four": by_answers(take_all),
    "of four the one that most behaviours accept (`agreed`)": by_answers(take_agreed),
    "answers that follow, by gold": by_answers(take_obeying),
}
FILTERS: dict[str, Choose] = {
    "cross-validation": by_cases(),
    "with `both_outcomes`": by_cases(both_outcomes=True),
    "with `two_sided`": by_cases(two_sided=True),
    "with both": by_cases(two_sided=True, both_outcomes=True),
}
RECORDED: dict[str, Choose] = {name: choose for name, choose in FILTERS.items() if name != "with `two_sided`"} | {
    "contrast, lift >= 0.1": contrast(),
    "contrast, lift >= 0.2": contrast(lift=">= 0.2"),
}


@dataclass
class Rates:
    """What chosen functions say, against gold: means over instructions, in percent."""

    kept: int = 0
    tpr: list[float] = field(default_factory=list)
    tnr: list[float] = field(default_factory=list)
    right: int = 0
    """Instructions with a TPR and a TNR of `GOOD`; a rate without texts counts as good."""
    refuse_all: int = 0
    j: list[float] = field(default_factory=list)
    accepted: int = 0
    right_accepted: int = 0

    def add(self, each: Judged, functions: Sequence[int], texts: Sequence[str]) -> None:
        """Count an instruction, whose functions decide together."""
        verdicts = {text: [each.verdicts[text][place] for place in functions] for text in texts}
        accepted = {text: meets(compute_pass_rate(verdicts[text]), MAJORITY) for text in texts}
        followed = [text for text in texts if each.followed[text]]
        others = [text for text in texts if not each.followed[text]]
        passed = sum(accepted[text] for text in followed)
        tpr = [passed / len(followed)] if followed else []
        tnr = [1 - sum(accepted[text] for text in others) / len(others)] if others else []
        self.kept += 1
        self.tpr += tpr
        self.tnr += tnr
        self.j += [tpr[0] + tnr[0] - 1] if tpr and tnr else []
        self.right += all(rate >= GOOD for rate in (*tpr, *tnr))
        self.refuse_all += bool(followed) and not passed
        self.accepted += sum(accepted.values())
        self.right_accepted += passed


def print_table(
    instructions: Sequence[Judged],
    choosers: Mapping[str, Choose],
    texts: Callable[[Judged], Sequence[str]],
    draws: int = 1,
) -> None:
    """Print what each chooser comes to; of instructions that are there `draws` times the mean."""
    print("| who chooses | kept | TPR | TNR | J | right | refuse all that follow | texts accepted | of them right, % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, choose in choosers.items():
        rates = Rates()
        for each in instructions:
            if functions := choose(each):
                rates.add(each, functions, texts(each))
        means = [f"{100 * sum(values) / max(len(values), 1):.1f}" for values in (rates.tpr, rates.tnr, rates.j)]
        counts = [f"{count / draws:,.0f}" for count in (rates.kept, rates.right, rates.refuse_all, rates.accepted)]
        precision = f"{100 * rates.right_accepted / max(rates.accepted, 1):.1f}"
        print(f"| {name} | {' | '.join([counts[0], *means, *counts[1:], precision])} |")


if __name__ == "__main__":
    main()
