"""§3.3, query augmentation: each instruction joined with random user queries.

In:      a VerifiedInstruction, and the others of its shard.
Out:     one Prompt for each of its queries: the same queries for the same instruction in every run. With
         `max_constraints` N, the first of N equal parts of the queries are joined with the instruction alone, the next
         with it and one other, and so on up to N - 1 others.
Dropped: nothing; the filters of the pool (language, length, duplicates) are in `queries/pool.py`.

# Deviation: responses are sampled for exactly the message of the training row; the released code asks with labelled
# parts and joins them later. Several instructions in one prompt are what the paper names as future work
# (docs/method.md#augmentation).
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import islice
from typing import TypeVar

from pydantic import JsonValue

from autoif.benchmark_wordings import is_benchmark_text
from autoif.models.requests import sampling_seed
from autoif.records import Dropped, Prompt, Query, VerifiedInstruction, content_id
from autoif.tools import Tools

STAGE = "augmentation"

_STOPS = (".", "!", "?", "…", "。", "！", "？")
_ENDINGS = (*_STOPS, ":", ";", ",")
_CLOSERS = "\"'”’»)]}`*"

T = TypeVar("T")


async def augment(verified: VerifiedInstruction, tools: Tools) -> list[Prompt | Dropped]:
    """Join the instruction, alone and with others, with `queries_per_instruction` queries of the pool."""
    settings, seed = tools.config.augmentation, tools.config.seed
    queries = choose_queries(verified, tools.queries, settings.queries_per_instruction, seed)
    return [*join_queries(verified, queries, seed, tools.partners, settings.max_constraints)]


def join_queries(
    verified: VerifiedInstruction,
    queries: Sequence[Query],
    seed: int,
    shard: Sequence[VerifiedInstruction] = (),
    max_constraints: int = 1,
) -> list[Prompt]:
    """Join the instruction with each query: alone with the first of them, with others of the shard with later ones."""
    prompts = []
    for place, query in enumerate(queries):
        others = place * max_constraints // len(queries)
        prompts.append(join((verified, *choose_partners(verified, query, shard, others, seed)), query))
    return prompts


def choose_queries(verified: VerifiedInstruction, pool: tuple[Query, ...], count: int, seed: int) -> list[Query]:
    """Return `count` different queries that belong to this instruction (fewer only if the pool is smaller)."""
    return [*islice(_draw(pool, seed, STAGE, verified.instruction.id), count)]


def choose_partners(
    verified: VerifiedInstruction, query: Query, shard: Sequence[VerifiedInstruction], count: int, seed: int
) -> list[VerifiedInstruction]:
    """Return `count` other instructions of the shard for the prompt that this one makes with the query (fewer only if
    there are fewer). As of queries, functions don't shape the choice. No row may train a benchmark's instruction, so
    none is chosen."""
    drawn = _draw(shard, seed, "partners", verified.instruction.id, query.id)
    others = (each for each in drawn if each.instruction.id != verified.instruction.id)
    return [*islice((each for each in others if not is_benchmark_text(each.instruction.text)), count)]


def _draw(pool: Sequence[T], *seed: JsonValue) -> Iterator[T]:
    """Yield each of the pool once, in an order that belongs to the seed."""
    drawn, draw = set[int](), 0
    while len(drawn) < len(pool):
        index = sampling_seed(*seed, draw) % len(pool)
        if index not in drawn:
            drawn.add(index)
            yield pool[index]
        draw += 1


def join_sentences(query: str, instruction: str) -> str:
    """Return query and instruction as one natural message.

    The query gets a full stop only if it has no ending of its own, and the instruction a capital only if its first word
    is a plain lower-case one ("iPhone" and "'e'" stay). Nothing is doubled.
    """
    query, instruction = query.strip(), instruction.strip()
    ended = query.rstrip(_CLOSERS).endswith(_STOPS) or query.endswith((*_ENDINGS, "```"))
    if not ended:
        query += "."
    first = instruction.split(maxsplit=1)[0] if instruction else ""
    if first.isalpha() and first.islower() and len(first) > 1:
        instruction = instruction[0].upper() + instruction[1:]
    if instruction and not instruction.rstrip(_CLOSERS).endswith(_ENDINGS) and not instruction.endswith(_ENDINGS):
        instruction += "."
    separator = "\n\n" if "\n" in query else " "
    return f"{query}{separator}{instruction}"


def join(constraints: tuple[VerifiedInstruction, ...], query: Query) -> Prompt:
    """Return the prompt that a query and instructions make, the first of which it belongs to."""
    return Prompt(
        id=content_id("prompt", *(each.id for each in constraints), query.id),
        constraints=constraints,
        query=query,
        text=join_sentences(query.text, reduce(join_sentences, (each.instruction.text for each in constraints))),
    )
