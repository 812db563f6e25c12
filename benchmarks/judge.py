"""How well forms of the judge tell an answer to the question from one to another question (docs/method.md#scoring).

    python benchmarks/judge.py RUN                                 the embedded model
    python benchmarks/judge.py RUN --base-url http://…/v1 --model M  a model at an OpenAI-compatible server

The responses of RUN that its functions accept are scored beside their own query and beside another one of RUN, drawn
with a seed. What is printed of each form: the scores of own queries that are above those of others (AUC: 1 where all
are, 0.5 by chance), the shares kept at the form's threshold, tokens of the judge, seconds. Answers are kept in
--answers, so that a second time costs nothing; its seconds count only what was asked.
"""

import argparse
import asyncio
import random
import time
from contextlib import ExitStack
from pathlib import Path

from autoif.audit.material import read_material
from autoif.config import Config, load_config
from autoif.models.cache import CompletionCache
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import Endpoint
from autoif.queries.scoring import score
from autoif.records import Dropped, Query, Response
from autoif.settings import ROLES
from autoif.tools import ToolSettings

_JSON = (
    "scoring.answer=json",
    f"prompts.scoring={Path(__file__).parent / 'data' / 'small_world_by_cases' / 'judge.txt'}",
    "scoring.max_tokens=400",
    "scoring.mean=>=8",
)
FORMS: dict[str, tuple[str, ...]] = {
    "the paper's: a score on the last line": (
        "scoring.answer=text", "prompts.scoring=paper", "scoring.max_tokens=400", "scoring.mean=>=8",
    ),
    "JSON, an analysis of any length": _JSON,
    "JSON, an analysis of 160 characters": (*_JSON, "scoring.max_analysis_chars=160"),
    "yes or no, by its probability": (),
}  # fmt: skip
"""Settings over those of quickstart, whose own form is the last."""
SEED = 20261129


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--base-url", default="")
    parser.add_argument("--model", default="")
    parser.add_argument("--answers", type=Path, default=Path("judge_answers"), help="a folder")
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    options = parser.parse_args()
    own = [
        response
        for written in read_material(options.run).instructions
        for response in written.responses
        if response.pass_rate > 0.5
    ]
    pairs = [(response, True) for response in own] + [(response, False) for response in exchange_queries(own)]
    print(f"{len(own)} responses beside their own query and another\n")
    print("| form | AUC | own kept, % | other kept, % | tokens written | seconds |")
    print("|---|---|---|---|---|---|")
    with ExitStack() as stack:
        if options.base_url:
            endpoint = Endpoint(base_url=options.base_url, model=options.model)
        else:
            endpoint = stack.enter_context(EmbeddedServer("qwen2.5-coder-1.5b")).endpoint(Endpoint())
        for form in options.forms:
            config = load_config("quickstart", FORMS[form])
            models = config.models.model_copy(update=dict.fromkeys(ROLES, endpoint))
            config = config.model_copy(update={"models": models})
            answers = options.answers / f"{list(FORMS).index(form)}.sqlite"
            print(f"| {form} | {asyncio.run(measure(config, pairs, answers))} |", flush=True)


def exchange_queries(responses: list[Response]) -> list[Response]:
    """Return the responses, each as one to another query of theirs."""
    chance = random.Random(SEED)
    queries = {response.prompt.query.id: response.prompt.query for response in responses}
    return [
        under_query(each, chance.choice([q for q in queries.values() if q != each.prompt.query])) for each in responses
    ]


def under_query(response: Response, query: Query) -> Response:
    prompt = response.prompt
    text = prompt.text.replace(prompt.query.text, query.text)
    moved = prompt.model_copy(update={"query": query, "text": text})
    return response.model_copy(update={"prompt": moved, "id": f"{response.id}:{query.id}"})


async def measure(config: Config, pairs: list[tuple[Response, bool]], answers: Path) -> str:
    """Score all pairs and return the cells of a form's row."""
    began = time.monotonic()
    async with ToolSettings(config, answers).open() as tools:
        results = [each for [each] in await asyncio.gather(*(score(response, tools) for response, _ in pairs))]
    seconds = time.monotonic() - began
    with CompletionCache(answers) as cache:
        tokens = cache.usage()["scoring"].completion_tokens
    found = [
        (read_mean(result), not isinstance(result, Dropped), own)
        for result, (_, own) in zip(results, pairs, strict=True)
    ]
    own = [mean for mean, _, is_own in found if is_own]
    other = [mean for mean, _, is_own in found if not is_own]
    above = sum((a > b) + (a == b) / 2 for a in own for b in other) / (len(own) * len(other))
    kept = [100 * sum(keep for _, keep, each in found if each is is_own) / len(own) for is_own in (True, False)]
    return f"{above:.3f} | {kept[0]:.0f} | {kept[1]:.0f} | {tokens:,} | {seconds:.0f}"


def read_mean(result: Response | Dropped) -> float:
    """Return the mean score of a response, -1 where the judge gave none that can be read."""
    response = result.record if isinstance(result, Dropped) else result
    assert isinstance(response, Response)
    return response.quality.mean if response.quality else -1.0


if __name__ == "__main__":
    main()
