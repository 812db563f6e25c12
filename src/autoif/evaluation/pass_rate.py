"""The pass rate: the share of a model's answers that the prompts' own verification functions accept.

The prompts are rows with functions, in rewards.jsonl's form. Every prompt gets as many samples, so each counts alike.
An answer is accepted if more than half of each constraint's functions return True (§3.3).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoif.datasets.rows import RewardRow, check_turns, list_functions
from autoif.datasets.split import Source, source_of
from autoif.errors import ConfigError
from autoif.evaluation.benchmark import AskedPrompt, Benchmark, Given, Judged
from autoif.evaluation.hub import refuse_twins
from autoif.evaluation.provenance import Seen
from autoif.evaluation.responses import SubjectResponse
from autoif.evaluation.results import Column, PromptResult
from autoif.gate import Fault, find_fault
from autoif.judging import judge as run_functions
from autoif.judging import split_verdicts
from autoif.messages import Say
from autoif.reading.jsonl import read_jsonl
from autoif.records import Verdict, content_id
from autoif.reward import RewardMode, compute_reward
from autoif.runs.store import REWARDS, find_rows
from autoif.runs.whole_files import digest_file
from autoif.sandbox import Sandbox

_TITLE = "Pass rate"
_COLUMNS = (
    Column(name="pass_rate", heading=_TITLE, label="accepted", averaged=True, paired=True),
    Column(
        name="pass_rate_by_prompt", heading=_TITLE, label="by prompt", averaged=True, by_prompt=True, shown="nowhere"
    ),
    Column(name="faultless_pass_rate", heading=_TITLE, label="without faults", averaged=True, paired=True),
)


@dataclass(frozen=True, slots=True)
class MeasuredPrompts:
    """Rows with different prompts, and the SHA-256 of their file."""

    rows: tuple[RewardRow, ...]
    sha256: str

    @property
    def sources(self) -> list[Source]:
        """The sources of the rows, to compare with training data."""
        return [source_of(row) for row in self.rows]


def read_prompts(source: Path) -> MeasuredPrompts:
    """Read prompts with functions: a file of rows, or the rewards.jsonl of a run folder.

    Raises ConfigError: there are none, or two of the same text.
    """
    path = find_rows(source, REWARDS)
    rows = read_jsonl(path, RewardRow, check=_check_row)
    if not rows:
        raise ConfigError(f"{path} has no prompts: there is nothing to measure on")
    refuse_twins(path, "prompt", (row.prompt[0].content for row in rows))
    return MeasuredPrompts(tuple(rows), digest_file(path))


def _check_row(row: RewardRow) -> None:
    check_turns(row)
    source_of(row)


def load_benchmark(prompts: MeasuredPrompts, seen: Seen, sandbox: Sandbox, say: Say) -> Benchmark:
    """Return the benchmark of these prompts, ready to judge."""
    rows = {_identify(row): row for row in prompts.rows}

    def judge(given: Given) -> Judged:
        return judge_answers([(rows[prompt.id], some) for prompt, some in given], seen, sandbox, say)

    # Names the judge: scores by other functions are compared with none of these.
    functions = content_id("judges", *sorted(content_id(key, *list_functions(row)) for key, row in rows.items()))
    return Benchmark(
        name="pass_rate",
        title=_TITLE,
        about="the percentage that the prompts' functions accept. Intervals draw instructions again.",
        prompts=[AskedPrompt(key, row.prompt[0].content[:80], row.prompt[0].content) for key, row in rows.items()],
        size=len(rows),
        data=f"SHA-256 {prompts.sha256[:12]}",
        data_id=prompts.sha256,
        columns=_COLUMNS,
        judge=judge,
        settings={"sandbox": sandbox.describe().partition(":")[0], "functions": functions},
        clusters="instructions",
        refuses_others=True,
    )


def judge_answers(
    given: Sequence[tuple[RewardRow, Sequence[SubjectResponse]]], seen: Seen, sandbox: Sandbox, say: Say
) -> Judged:
    """Run every prompt's functions on its answers. A response without an answer isn't judged, and not accepted."""
    asked = [
        (() if each.is_unanswered else list_functions(row), each.text) for row, answers in given for each in answers
    ]
    say(f"{len(given):,} prompts: verifying {len(asked):,} responses")
    verdicts = iter(run_functions(asked, sandbox))
    results, faults = [], Counter[Fault | None]()
    judged: list[Verdict] = []
    for row, answers in given:
        said = [next(verdicts) for _ in answers]
        judged += [verdict for each in said for verdict in each]
        found = [_find_fault(answer, row) for answer in answers]
        faults.update(found)
        accepted = [
            bool(each) and compute_reward(split_verdicts(each, row.constraints), RewardMode.BINARY) == 1
            for each in said
        ]
        rates = tuple(100.0 * each for each in accepted)
        faultless = tuple(100.0 * (each and not fault) for each, fault in zip(accepted, found, strict=True))
        results.append(
            PromptResult(
                id=_identify(row),
                key=row.prompt[0].content[:80],
                cluster=row.constraints[0].instruction_id,
                scores={"pass_rate": rates, "pass_rate_by_prompt": rates, "faultless_pass_rate": faultless},
                details={
                    "instructions": [each.instruction for each in row.constraints],
                    "query_id": row.query_id,
                    "verdicts": [[*each] for each in said],
                    "faults": [*found],
                },
            )
        )
    undecided = 100 * sum(each not in {Verdict.PASS, Verdict.FAIL} for each in judged) / (len(judged) or 1)
    return Judged(
        results,
        remarks=[seen.describe()] if seen.instructions or seen.queries or seen.functions else [],
        report=[
            ("faults", ", ".join(f"{fault} {faults[fault]}" for fault in Fault)),
            ("no verdict", f"{undecided:.1f} % of verdicts: the function raised, hung or crashed"),
            ("training", seen.describe()),
        ],
        details={
            "faults": {str(fault): faults[fault] for fault in Fault},
            "undecided": undecided,
            "seen": seen.model_dump(mode="json"),
            "sandbox": sandbox.describe(),
        },
    )


def _find_fault(answer: SubjectResponse, row: RewardRow) -> Fault | None:
    if answer.is_unanswered and answer.lack in {Fault.ONLY_REASONING, Fault.UNFINISHED_REASONING}:
        return Fault(str(answer.lack))
    return find_fault(answer.text, row.prompt[0].content, *(each.instruction for each in row.constraints), row.query)


def _identify(row: RewardRow) -> str:
    """Return an id from the prompt's text alone, so that other functions can judge the same answers."""
    return content_id("measured prompt", row.prompt[0].content)
