"""§3.3, response sampling and instruction-following verification.

In:      The Prompts of one instruction.
Out:     those of the K Responses to each that enough of the instruction's functions accept (paper: > 0.5; released
         code: > 0).
Dropped: a response that the functions refuse (`failed_functions`, with its verdicts and pass rate: the negatives of the
         preference pairs), that is empty, only a thought, cut off at the token limit, refused by the model's server
         (with its words), a copy of an earlier one, not text, or in a script that neither query nor instruction uses.
         With `gate` what the functions accept though it is no answer (`empty`, `copied`, `degenerate`), which is then
         neither kept nor, as it passed, a negative of the pairs.
         With early stop also each response that was not asked for (`no_response_passes`), without a record.

Early stop (`stop_after_prompts`): the first prompts with the instruction alone get their first responses before all
others; if these prompts are too few, each gets more. If functions refuse all of these, they are wrong or the rule is
beyond the responder, and no more is asked.

# Deviation: what is no whole answer is dropped before any function sees it (docs/method.md#rejection-sampling).
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from fractions import Fraction
from typing import Protocol

from autoif.config import Config
from autoif.gate import find_fault
from autoif.judging import compute_least_rate, judge_async, split_verdicts
from autoif.language import LATIN, count_scripts, has_foreign_script, is_garbled
from autoif.messages import list_counts
from autoif.models.requests import Completion, Request, Role, sampling_seed
from autoif.records import Dropped, Prompt, Reason, Response, Verdict, content_id
from autoif.settings import RejectionSampling
from autoif.thresholds import meets
from autoif.tools import Tools

STAGE = "rejection_sampling"
_CHARS_AT_ONCE = 20_000
"""Characters of responses that are processed before other tasks get a turn: an instruction may have thousands …"""
_CHARS_OF_ONE = 500
"""… each of which counts as at least this many characters."""


class Answerer(Protocol):
    """Gives `count` responses to each prompt: the complete answers, without verdicts, and the dropped ones."""

    async def __call__(
        self, prompts: Sequence[Prompt], count: int, tools: Tools
    ) -> list[tuple[list[Response], list[Dropped]]]: ...


async def sample_responses(
    prompts: Sequence[Prompt], tools: Tools, ask: Answerer | None = None
) -> AsyncGenerator[list[Response | Dropped]]:
    """Sample K responses to each prompt of an instruction and keep those that the instruction's functions accept.

    They come in parts, in the order of the prompts, as they are judged; from the responder, unless `ask` gives others.
    """
    ask = ask or ask_responder
    settings = tools.config.rejection_sampling
    if first := [each for each in prompts if len(each.constraints) == 1][: settings.stop_after_prompts]:
        wanted = min(settings.stop_after_prompts, len(prompts)) * settings.stop_after_responses
        tried = await _sample(first, min(-(-wanted // len(first)), settings.responses_per_prompt), tools, ask)
        if _is_beyond_it(tried):
            yield _stop(prompts, tried, settings.responses_per_prompt)
            return
    size = settings.prompts_together
    groups = [prompts[at : at + size] for at in range(0, len(prompts), size)]
    sampling = [asyncio.create_task(_sample(group, settings.responses_per_prompt, tools, ask)) for group in groups]
    try:
        for part in sampling:
            yield await part
    except asyncio.CancelledError:
        for part in sampling:
            part.cancel()
        raise
    finally:  # where one failed, the others' answers are still stored
        await asyncio.gather(*sampling, return_exceptions=True)


def _is_beyond_it(tried: Sequence[Response | Dropped]) -> bool:
    """Tell whether the functions refuse all responses that they saw, at least half of all: responses that the server
    refused or cut say nothing about the functions."""
    refused = [isinstance(result, Dropped) and result.reason is Reason.FAILED_FUNCTIONS for result in tried]
    return all(isinstance(result, Dropped) for result in tried) and 2 * sum(refused) >= len(tried)


def _stop(prompts: Sequence[Prompt], tried: Sequence[Response | Dropped], count: int) -> list[Response | Dropped]:
    """Return the responses that were tried, and one drop for each that isn't asked for, by prompt and sample."""
    why = list_counts(Counter(result.reason.value for result in tried if isinstance(result, Dropped)))
    detail = f"not asked for: none of the first {len(tried)} responses to the instruction passes ({why})"
    results: list[Response | Dropped] = []
    for prompt in prompts:
        asked = [result for result in tried if _response_of(result).prompt.id == prompt.id]
        ids = [content_id("response", prompt.id, index) for index in range(len(asked), count)]
        unasked = [Dropped(stage=STAGE, reason=Reason.NO_RESPONSE_PASSES, record_id=id, detail=detail) for id in ids]
        results += [*asked, *unasked]
    return results


async def _sample(prompts: Sequence[Prompt], count: int, tools: Tools, ask: Answerer) -> list[Response | Dropped]:
    """Sample `count` responses to each prompt and judge them; each function runs once, on all of them."""
    settings = tools.config.rejection_sampling
    read = await ask(prompts, count, tools)
    verified = await verify_responses([response for responses, _ in read for response in responses], tools)
    judged: dict[str, list[Response | Dropped]] = {prompt.id: [] for prompt in prompts}
    async for response in _in_turns(verified):
        accepted = meets(_rate(response, response.verdicts), settings.pass_rate)
        result = _pass_gate(response, settings) if accepted else _refuse(response)
        judged[response.prompt.id].append(result)
    return [
        result
        for prompt, (_, dropped) in zip(prompts, read, strict=True)
        for result in sorted([*judged[prompt.id], *dropped], key=lambda result: _response_of(result).index)
    ]


async def ask_responder(
    prompts: Sequence[Prompt], count: int, tools: Tools, *, role: Role = "responder", stage: str = STAGE
) -> list[tuple[list[Response], list[Dropped]]]:
    """Ask for `count` responses to each prompt; return the complete answers, without verdicts, and the dropped ones.

    A longer list of a prompt's responses begins with the shorter one, whoever asked for it: they are the same samples.
    """
    requests = [_request(prompt, count, role, stage, tools) for prompt in prompts]
    answers = await asyncio.gather(*map(tools.chat.sample, requests))
    max_chars = tools.config.rejection_sampling.max_chars
    read = []
    for prompt, completions in zip(prompts, answers, strict=True):
        read.append(_read_responses(prompt, completions, max_chars))
        await asyncio.sleep(0)
    return read


def _request(prompt: Prompt, count: int, role: Role, stage: str, tools: Tools) -> Request:
    settings = tools.config.rejection_sampling
    return Request(
        role=role,
        stage=stage,
        messages=tools.config.prompts.responder.fill(
            prompt=prompt.text, query=prompt.query.text, instruction=prompt.instruction
        ),
        samples=count,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=_seed(prompt, tools.config),
    )


def _seed(prompt: Prompt, config: Config) -> int:
    """Return the seed of a prompt's responses. With contrast it can't depend on functions, which responses choose."""
    if not config.contrast.enabled:
        return sampling_seed(config.seed, STAGE, prompt.id)
    instructions = (each.instruction.id for each in prompt.constraints)
    return sampling_seed(config.seed, STAGE, [*instructions], prompt.query.id)


async def verify_responses(responses: Sequence[Response], tools: Tools) -> list[Response]:
    """Return responses to prompts with the verdicts of the functions and the pass rate.

    Each function runs once, on all the texts.
    """
    rows = [([function.source for function in each.prompt.functions], each.text) for each in responses]
    judged = list[Response]()
    verdicts_of = iter(await judge_async(rows, tools.sandbox))
    async for response in _in_turns(responses):
        verdicts = next(verdicts_of)
        rate = round(float(_rate(response, verdicts)), 4)
        judged.append(response.model_copy(update={"verdicts": verdicts, "pass_rate": rate}))
    return judged


def _rate(response: Response, verdicts: Sequence[Verdict]) -> Fraction:
    return compute_least_rate(split_verdicts(verdicts, response.prompt.constraints))


async def _in_turns(responses: Iterable[Response]) -> AsyncIterator[Response]:
    """Yield responses and let other tasks run in between, more often the longer the responses are."""
    chars = 0
    for response in responses:
        yield response
        chars += _CHARS_OF_ONE + len(response.text)
        if chars > _CHARS_AT_ONCE:
            chars = 0
            await asyncio.sleep(0)


def _read_responses(
    prompt: Prompt, completions: list[Completion], max_chars: int
) -> tuple[list[Response], list[Dropped]]:
    responses, dropped = [], []
    seen: set[str] = set()
    for index, completion in enumerate(completions):
        text = completion.text.strip()
        response = Response(id=content_id("response", prompt.id, index, text), prompt=prompt, index=index, text=text)
        reason = _fault(completion, text, prompt, max_chars)
        if reason is None and text in seen:
            reason = Reason.DUPLICATE_RESPONSE
        seen.add(text)
        if reason:
            detail = completion.fault_detail or f"{len(text)} characters"
            dropped.append(Dropped.of(STAGE, reason, response, detail))
        else:
            responses.append(response)
    return responses, dropped


def _fault(completion: Completion, text: str, prompt: Prompt, max_chars: int) -> Reason | None:
    if completion.fault:
        return completion.fault
    if len(text) > max_chars:
        return Reason.TOO_LONG
    if is_garbled(text):
        return Reason.NOT_TEXT
    if has_foreign_script(text, LATIN | count_scripts(prompt.text).keys()) and not _asks_for_script(prompt.text):
        return Reason.WRONG_LANGUAGE
    return None


def _asks_for_script(text: str) -> bool:
    """Tell whether a prompt may want letters of a script that it doesn't use: a language, script or symbols by name.

    A prompt with accented letters is in a language whose names for others are not known here, so it may.
    """
    if any(count_scripts(char)["LATIN"] for char in text if not char.isascii()):
        return True
    words = {word.strip(".,;:!?\"'()").lower() for word in text.split()}
    return bool(words & _SCRIPT_WORDS) or _SCRIPT_STEMS.search(text.lower()) is not None


_SCRIPT_WORDS = frozenset(
    """
    language translate translation alphabet script arabic bengali bulgarian chinese cyrillic georgian greek hebrew
    hindi japanese kanji katakana hiragana korean mandarin cantonese persian farsi russian sanskrit serbian tamil
    thai ukrainian urdu unicode symbols math mathematical formula equation
    """.split()
)


_SCRIPT_STEMS = re.compile(
    "перев[ое]д|китайск|японск|корейск|арабск|греческ|иврит|翻译|翻譯|翻訳|[日韩韓俄英希泰阿]语|[日韓俄英希泰阿]語|번역|[한일중]국어|일본어"
)


def _refuse(response: Response) -> Dropped:
    passed = response.verdicts.count(Verdict.PASS)
    return Dropped.of(STAGE, Reason.FAILED_FUNCTIONS, response, f"{passed} of {len(response.verdicts)} functions")


def _pass_gate(response: Response, settings: RejectionSampling) -> Response | Dropped:
    """Return an accepted response, or drop it if it passes without being an answer."""
    prompt = response.prompt
    parts = (*(each.instruction.text for each in prompt.constraints), prompt.query.text)
    fault = find_fault(response.text, prompt.text, *parts) if settings.gate else None
    return Dropped.of(STAGE, Reason(fault.value), response, "functions accept what is no answer") if fault else response


def _response_of(result: Response | Dropped) -> Response:
    response = result.record if isinstance(result, Dropped) else result
    assert isinstance(response, Response)
    return response
