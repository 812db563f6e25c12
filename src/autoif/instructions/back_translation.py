"""§3.2, back-translation: does the function still say what the instruction says?

In:      a VerifiedInstruction.
Out:     the same with one BackTranslation for each function: the writer's description of what the code demands, and the
         label of an NLI model, with the instruction as premise and the description as hypothesis. With
         `enabled = false` the same, unlabelled.
Dropped: an instruction with too many back-translations labelled *contradiction* (paper: any; `dropped_contradictions`
         sets the share, or `dropped_by_chat` where a language model labels). The record holds all labels.
         An instruction for which the writer described no function, with the reason of the first (`refused_by_model`,
         `only_reasoning`, `truncated`, `empty`). If it described some, the others never count as contradictions.

# Deviation: without NLI weights, the judge's model labels (docs/method.md#back-translation).
"""

import asyncio

from autoif.models.nli import UNTOLD
from autoif.models.requests import Completion, Request, sampling_seed
from autoif.reading.lines import clean_line, is_layout
from autoif.records import BackTranslation, Dropped, Function, Reason, VerifiedInstruction
from autoif.settings import BackTranslationSettings
from autoif.thresholds import meets, share
from autoif.tools import Tools
from autoif.vocabulary import fold

STAGE = "back_translation"


async def back_translate(verified: VerifiedInstruction, tools: Tools) -> list[VerifiedInstruction | Dropped]:
    """Ask the writer to describe each function, and compare the descriptions with the instruction."""
    settings = tools.config.back_translation
    if not settings.enabled:
        return [verified]
    functions = verified.functions[: settings.max_functions or None]
    completions = await asyncio.gather(*(_ask_for_description(function, tools) for function in functions))
    texts = [_read_description(completion) for completion in completions]
    if not any(texts):
        first = completions[0]
        detail = f"no function was described: {first.fault_detail or 'an empty answer'}"
        return [Dropped.of(STAGE, first.fault or Reason.EMPTY, verified, detail)]
    judged = iter(await tools.nli.judge([(verified.instruction.text, text) for text in texts if text]))
    judgements = [next(judged) if text else UNTOLD for text in texts]
    labelled = verified.model_copy(
        update={
            "back_translations": tuple(
                BackTranslation(
                    function_id=function.id,
                    text=text,
                    label=judgement.label,
                    score=judgement.score,
                    source=judgement.source,
                )
                for function, text, judgement in zip(functions, texts, judgements, strict=True)
            )
        }
    )
    return [judge_labels(labelled, settings)]


def judge_labels(labelled: VerifiedInstruction, settings: BackTranslationSettings) -> VerifiedInstruction | Dropped:
    """Drop an instruction if too many of its back-translations contradict it."""
    contradictions = [b for b in labelled.back_translations if b.label == "contradiction"]
    by_chat = any(each.source.startswith("chat/") for each in contradictions)
    threshold = (by_chat and settings.dropped_by_chat) or settings.dropped_contradictions
    count = len(labelled.back_translations)
    if not meets(share(len(contradictions), count), threshold):
        return labelled
    detail = f"{len(contradictions)} of {count} back-translations, first: {contradictions[0].text}"
    return Dropped.of(STAGE, Reason.CONTRADICTION, labelled, detail)


async def _ask_for_description(function: Function, tools: Tools) -> Completion:
    """Ask the writer to describe a function in words."""
    settings = tools.config.back_translation
    [completion] = await tools.chat.sample(
        Request(
            role="writer",
            stage=STAGE,
            messages=tools.config.prompts.back_translation.fill(code=fold(function.source).strip()),
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=sampling_seed(tools.config.seed, STAGE, function.id),
        )
    )
    return completion


def _read_description(completion: Completion) -> str:
    """Return the first line of a description, after lead-ins such as "It checks:" and layout; "" if there is none."""
    if completion.fault is Reason.REFUSED_BY_MODEL:
        return ""
    bare = (clean_line(line).strip("\"'`* ") for line in completion.text.splitlines())
    lines = [line for line in bare if line and not is_layout(line)]
    described = [line for line in lines if not line.endswith((":", "："))]
    return next(iter(described or lines), "")
