"""What the tests of FollowBench share: a small benchmark in its form, and a judge that is scripted."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from autoif.evaluation.followbench.data import LEVELS
from support.stub_server import Body, Reply, answer

TEMPLATE = "{instruction}\nBot: {answer}"


def instruct(kind: str, example: int, level: int) -> str:
    """Return the instruction of a level; of type example the one whose answers have the template's form."""
    constraints = "".join(f" Keep to rule {number}." for number in range(1, level + 1))
    return f"Write the {kind} text {example}.{constraints}"


def write_data(folder: Path, groups: dict[str, int]) -> Path:
    """Write a folder of prompts with so many initial instructions of each type."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, count in groups.items():
        rows = [
            {
                "example_id": example,
                "category": kind,
                "source": "quora",
                "level": level,
                "instruction": instruct(kind, example, level),
                "target": TEMPLATE if kind == "example" else "",
            }
            for example in range(1, count + 1)
            for level in ((0, *LEVELS) if kind != "example" else LEVELS)
        ]
        (folder / f"{kind}_constraints.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def respond(groups: dict[str, int], text: str = "Bot: yes") -> list[dict]:
    """Return rows of recorded responses, the same to every prompt."""
    return [
        {"prompt": instruct(kind, example, level), "response": f"{text} {example}/{level}"}
        for kind, count in groups.items()
        for example in range(1, count + 1)
        for level in LEVELS
    ]


def ask(kind: str, example: int, level: int, response: str) -> str:
    """Return the parts of the benchmark's question to a judge that its reader looks for."""
    added = "constraint" if level == 1 else "constraints"
    steps = "\n\n".join(
        f"#Initial Instruction + {n} constraint{'s' if n > 1 else ''}#\n{instruct(kind, example, n)}"
        for n in range(1, level + 1)
    )
    return f"{steps}\n\n#Answer of Initial Instruction + {level} {added}#\n{response}\n\n#System#\nJudge."


def write_judgements(folder: Path, kind: str, rows: Sequence[tuple[str, str]]) -> Path:
    """Write recorded judgements of a type: (question, what was said)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"prompt_new": asked, "choices": [{"message": {"content": said}}]}) for asked, said in rows]
    (folder / f"model_{kind}_constraint.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def judge(verdicts: dict[str, str]) -> Reply:
    """Answer as a policy, and as a judge that likes all but responses to prompts with a part of `verdicts`."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        prompt = body["messages"][-1]["content"]
        level = len(re.findall("=== Instruction with", prompt)) - 1
        said = "Bot: yes" if level < 0 else f"All is well.\n{['YES'] * level}"
        said = next((text for part, text in verdicts.items() if level > 0 and part in prompt), said)
        return web.json_response(answer(body, message={"role": "assistant", "content": said}))

    return reply
