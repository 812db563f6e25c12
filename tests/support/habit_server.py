"""A model on the loopback interface that can serve a whole `autoif run`, with the habits of real servers.

A habit is a function from what is `Asked` to an answer. `honest` has none; the others answer as it does and change
something: `edited` changes the choices, `refusing` says no to some requests. One `HabitServer` in a thread of its own
serves one habit after the other.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]
Answer = web.Response | Body | list[Any]

QUERIES = (
    "How does the keeper of a lighthouse spend a stormy night?",
    "Why is the lamp of a lighthouse so high above the sea?",
)
"""What the runs are about: a prompt that holds one of these words is for the responder or the judge."""
CHAT = ("self_instruct", "verification", "back_translation", "responses", "scoring")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as a habit sees it."""

    stage: str
    """One of CHAT, or "nli"."""
    body: Body
    times: int
    """How often this very prompt was asked before."""
    number: int
    """How many requests came before it."""
    since_s: float
    """Seconds since the habit's first request."""

    @property
    def about(self) -> str:
        """Everything that the prompt says."""
        return json.dumps(self.body.get("messages", self.body.get("prompt")), ensure_ascii=False)


Habit = Callable[[Asked], Answer]
Edit = Callable[[Body], None]


def tell_stage(body: Body) -> str:
    """Tell the stage by what the prompt wants, however it is worded."""
    if "messages" not in body:
        return "nli"
    text = " ".join(turn["content"] for turn in body["messages"])
    if "lighthouse" in text:
        return "scoring" if {"score", "grade"} & set(text.lower().split()) else "responses"
    if "func" in text and "cases" in text:
        return "verification"
    return "back_translation" if "def evaluate" in text else "self_instruct"


def honest(asked: Asked) -> Body:
    """Answer as a good model would."""
    count = asked.body.get("n", 1)
    texts = [_text(asked, asked.body.get("seed", asked.number) + index) for index in range(count)]
    choices = [{"index": index, "finish_reason": "stop", **_said(asked, text)} for index, text in enumerate(texts)]
    usage = {"prompt_tokens": 40, "completion_tokens": 12 * count, "total_tokens": 40 + 12 * count}
    return {"object": "chat.completion", "choices": choices, "usage": usage}


def _said(asked: Asked, text: str) -> Body:
    return {"text": text} if asked.stage == "nli" else {"message": {"role": "assistant", "content": text}}


def _text(asked: Asked, number: int) -> str:
    match asked.stage:
        case "self_instruct":
            return "\n".join(f"Use at least {number % 50 + line} letters in the answer." for line in range(3, 6))
        case "verification":
            cases = [("The lamp burns all night.", True), ("a", False), ("Ships pass by in the fog.", True)]
            return json.dumps(
                {
                    "func": f"def evaluate(response):\n    return len(response) > {number % 7 + 3}",
                    "cases": [{"input": text, "output": output} for text, output in cases],
                }
            )
        case "back_translation":
            return "Write more than a few letters."
        case "scoring":
            return json.dumps({"analysis": "It answers.", "score": 9})
        case "nli":
            return " entailment"
    return f"The keeper trims the lamp {number} times and writes it down."


# Changed answers


def edited(edit: Edit, stages: Collection[str] = CHAT, choices: Collection[int] = range(64)) -> Habit:
    """Answer, with `edit` made to these choices in these stages."""

    def habit(asked: Asked) -> Answer:
        answer = honest(asked)
        if asked.stage in stages:
            for choice in answer["choices"]:
                if choice["index"] in choices:
                    edit(choice)
        return answer

    return habit


def say(template: str) -> Edit:
    """Write the text into a template, where it says ANSWER."""

    def edit(choice: Body) -> None:
        choice["message"]["content"] = template.replace("ANSWER", choice["message"]["content"])

    return edit


def put(**fields: Any) -> Edit:
    """Set fields of the choice."""
    return lambda choice: choice.update(fields)


def put_message(**fields: Any) -> Edit:
    """Set fields of the message; "ANSWER" within them becomes what the content was."""

    def edit(choice: Body) -> None:
        said = json.dumps(choice["message"]["content"])[1:-1]
        choice["message"] |= json.loads(json.dumps(fields).replace("ANSWER", said))

    return edit


def with_fields(**fields: Any) -> Habit:
    """Answer, with these fields of the whole answer set."""
    return lambda asked: {**honest(asked), **fields}


def sends(write: Callable[[bytes], bytes], content_type: str = "application/json", **headers: str) -> Habit:
    """Answer with these bytes, made of the honest ones."""

    def habit(asked: Asked) -> Answer:
        content = write(json.dumps(honest(asked)).encode())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=content, headers={"Content-Type": content_type, **named})

    return habit


def stream(asked: Asked) -> Answer:
    """Answer in pieces, which nobody asked for."""
    lines = [": keep-alive"]
    for choice in honest(asked)["choices"]:
        said = choice.get("message", choice)
        text = said.get("content", said.get("text"))
        for delta, reason in (({"content": text[:5]}, None), ({"content": text[5:]}, "stop")):
            piece = {"index": choice["index"], "delta": delta, "finish_reason": reason}
            lines.append(f"data: {json.dumps({'choices': [piece]})}")
    return web.Response(text="\n\n".join([*lines, "data: [DONE]", ""]), content_type="text/event-stream")


# Refusals


def refusing(when: Callable[[Asked], bool], status: int, complaint: Any, **headers: str) -> Habit:
    """Say no with this status and body to what `when` picks. A complaint that is a string comes in OpenAI's form."""
    body = (
        {"error": {"message": complaint, "type": "invalid_request_error"}} if isinstance(complaint, str) else complaint
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def habit(asked: Asked) -> Answer:
        return web.json_response(body, status=status, headers=named) if when(asked) else honest(asked)

    return habit


def has(field: str, *values: Any) -> Callable[[Asked], bool]:
    """Pick requests whose body has this field, with one of these values if any are given."""
    return lambda asked: field in asked.body and (not values or asked.body[field] in values)


def in_stage(*stages: str, query: str = "") -> Callable[[Asked], bool]:
    """Pick the requests of these stages, that mention the query if one is given."""
    return lambda asked: asked.stage in stages and query in asked.about


def once(stage: str = "") -> Callable[[Asked], bool]:
    """Pick a prompt when it is asked for the first time."""
    return lambda asked: asked.times == 0 and stage in ("", asked.stage)


def strings(value: Any) -> Iterator[str]:
    """Yield every text within some JSON."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(each)


class HabitServer:
    """Serves one habit at a time; `asked` holds every request since it was taken up."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._habit: Habit = honest
        self._began = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def take_up(self, habit: Habit) -> None:
        """Behave like this from now on, and forget what was asked before."""
        self.asked, self._habit, self._began = [], habit, 0.0

    def asked_in(self, stage: str) -> list[Body]:
        """Return the bodies of the requests of a stage, in the order in which they came."""
        return [each.body for each in self.asked if each.stage == stage]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/chat/completions", self._serve)
        app.router.add_post("/v1/completions", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        now = time.monotonic()
        self._began = self._began or now
        messages = body.get("messages", body.get("prompt"))
        times = sum(each.body.get("messages", each.body.get("prompt")) == messages for each in self.asked)
        asked = Asked(tell_stage(body), body, times, len(self.asked), now - self._began)
        self.asked.append(asked)
        answer = self._habit(asked)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)
