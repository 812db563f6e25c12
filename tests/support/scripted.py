"""A model that says what its script says: same request, same answers, whatever the order of requests."""

from collections.abc import Callable, Sequence

from autoif.models.requests import Completion, Request

Answer = str | Completion
Rule = tuple[str, Sequence[Answer]] | Callable[[Request, int], Answer | None]
"""(part of the prompt, answers to choose from), or a function of request and sample index; None: not its prompt."""


class ScriptedChat:
    """Implements `requests.Chat`. The first rule that fits a prompt answers it; a prompt that none fits is an error.

    Of a pair's answers, sample i gets number (seed + i) modulo their count.
    """

    def __init__(self, *rules: Rule) -> None:
        self.requests: list[Request] = []
        """All requests, in the order in which they came."""
        self._rules = rules

    async def sample(self, request: Request) -> list[Completion]:
        """Return the scripted completions; raise `LookupError` for an unknown prompt."""
        self.requests.append(request)
        prompt = "\n".join(content for _, content in request.messages) or request.prompt
        return [self._answer(request, prompt, index) for index in range(request.samples)]

    def _answer(self, request: Request, prompt: str, index: int) -> Completion:
        for rule in self._rules:
            answer = rule(request, index) if callable(rule) else _pick(rule, request, prompt, index)
            if isinstance(answer, Completion):
                return answer
            if answer is not None:
                return Completion(
                    text=answer,
                    finish_reason="stop",
                    prompt_tokens=len(prompt.split()),
                    completion_tokens=len(answer.split()),
                )
        raise LookupError(f"the script has no answer to this prompt of stage {request.stage}: {prompt[:500]!r}")


def _pick(rule: tuple[str, Sequence[Answer]], request: Request, prompt: str, index: int) -> Answer | None:
    part, answers = rule
    return answers[(request.seed + index) % len(answers)] if part in prompt else None
