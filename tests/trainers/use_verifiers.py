"""verifiers' own loader and scoring on an exported environment package: see tests/test_export_trainers.py."""

import asyncio
import json
import sys
from pathlib import Path

from verifiers.v1 import AgentConfig, AssistantMessage, MessageNode, Task, Trace, TraceTask, UserMessage
from verifiers.v1.trace import AgentInfo
from verifiers.v1.utils.loaders import load_environment, resolve_env_config


def make_trace(task: Task, answer: str) -> Trace:
    """Return what a rollout in which the model says `answer` leaves."""
    trace = Trace(
        task=TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        agent=AgentInfo(config=AgentConfig()),
    )
    trace.nodes.append(MessageNode(message=UserMessage(content=task.data.prompt_text)))
    trace.nodes.append(MessageNode(parent=0, message=AssistantMessage(content=answer), sampled=True))
    return trace


async def score(task: Task, answer: str) -> float:
    trace = make_trace(task, answer)
    await task.score(trace)
    assert [await stop(trace) for stop in task.hooks("stop")] == [True]
    return trace.reward


async def main(folder: Path, answers: list[str]) -> dict[str, object]:
    sys.path.insert(0, str(folder))  # as if pip had installed it
    found: dict[str, object] = {}
    for mode in ("binary", "fraction"):
        config = resolve_env_config({"taskset": {"id": "autoif-instructions", "task": {"mode": mode}}})
        tasks = list(load_environment(config).taskset.load())
        found["prompts"] = [task.data.prompt_text for task in tasks]
        found[mode] = [await asyncio.gather(*(score(task, answer) for answer in answers)) for task in tasks]
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(
        json.dumps(asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[3])))), encoding="utf-8"
    )
