"""§3.3, query augmentation: each instruction joined with random user queries.

In:      a VerifiedInstruction.
Out:     one Prompt for each of its queries: the same queries for the same instruction in every run.
Dropped: nothing; the filters of the pool (language, length, duplicates) are in `queries/pool.py`.

# Deviation: responses are sampled for exactly the message of the training row; the released code asks with labelled
# parts and joins them later (docs/method.md#augmentation).
"""

from autoif.models.requests import sampling_seed
from autoif.records import Dropped, Prompt, Query, VerifiedInstruction, content_id
from autoif.tools import Tools

STAGE = "augmentation"

_ENDINGS = (".", "!", "?", "…", ":", ";", ",", "。", "！", "？")
_CLOSERS = "\"'”’»)]}`*"


async def augment(verified: VerifiedInstruction, tools: Tools) -> list[Prompt | Dropped]:
    """Join the instruction with `queries_per_instruction` queries of the pool."""
    wanted = tools.config.augmentation.queries_per_instruction
    return [*join_queries(verified, tools.queries, wanted, tools.config.seed)]


def join_queries(verified: VerifiedInstruction, pool: tuple[Query, ...], count: int, seed: int) -> list[Prompt]:
    """Join the instruction with each query of `choose_queries`."""
    return [join(verified, query) for query in choose_queries(verified, pool, count, seed)]


def choose_queries(verified: VerifiedInstruction, pool: tuple[Query, ...], count: int, seed: int) -> list[Query]:
    """Return `count` different queries that belong to this instruction (fewer only if the pool is smaller).

    They are drawn one by one from the pool, so that a longer draw begins with the shorter one.
    """
    chosen: dict[int, None] = {}
    draw = 0
    while len(chosen) < min(count, len(pool)):
        chosen[sampling_seed(seed, STAGE, verified.instruction.id, draw) % len(pool)] = None
        draw += 1
    return [pool[index] for index in chosen]


def join_sentences(query: str, instruction: str) -> str:
    """Return query and instruction as one natural message.

    The query gets a full stop only if it has no ending of its own, and the instruction a capital only if its first word
    is a plain lower-case one ("iPhone" and "'e'" stay). Nothing is doubled.
    """
    query, instruction = query.strip(), instruction.strip()
    ends = query.rstrip(_CLOSERS) if query[-1:] in _CLOSERS else query
    if not ends.endswith(_ENDINGS) and not query.endswith("```"):
        query += "."
    first = instruction.split(maxsplit=1)[0] if instruction else ""
    if first.isalpha() and first.islower() and len(first) > 1:
        instruction = instruction[0].upper() + instruction[1:]
    if instruction and not instruction.rstrip(_CLOSERS).endswith(_ENDINGS) and not instruction.endswith(_ENDINGS):
        instruction += "."
    separator = "\n\n" if "\n" in query else " "
    return f"{query}{separator}{instruction}"


def join(verified: VerifiedInstruction, query: Query) -> Prompt:
    """Return the prompt that a query and an instruction make."""
    return Prompt(
        id=content_id("prompt", verified.id, query.id),
        constraints=(verified,),
        query=query,
        text=join_sentences(query.text, verified.instruction.text),
    )
