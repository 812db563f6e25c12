"""NeMo Gym: rows in the form of its instruction-following environment, and a resources server that verifies them.

Gym's own instruction_following server identifies the instructions of IFEval and IFBench by name. Here an instruction is
identified by its id, and its functions are its keyword arguments, which the exported server runs.
"""

from itertools import count
from typing import Any

from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.rows import Columns, RewardRow, RowSets, describe_reliability

SERVER = "autoif_instructions"
_FOLDER = f"resources_servers/{SERVER}"

APP = '''\
"""Verifies instructions by running their functions in autoif's sandbox."""

from typing import Any

from nemo_gym.base_resources_server import (
    BaseResourcesServerConfig,
    BaseRunRequest,
    BaseVerifyRequest,
    BaseVerifyResponse,
    SimpleResourcesServer,
)

from autoif.datasets.exports.ground_truth import reward_of
from autoif.datasets.exports.nemo_gym import read_reply


class AutoIFResourcesServerConfig(BaseResourcesServerConfig):
    pass


class AutoIFRunRequest(BaseRunRequest):
    id: int
    verifier_metadata: dict[str, Any]


class AutoIFVerifyRequest(AutoIFRunRequest, BaseVerifyRequest):
    pass


class AutoIFVerifyResponse(BaseVerifyResponse):
    id: int
    verifier_metadata: dict[str, Any]


class AutoIFResourcesServer(SimpleResourcesServer):
    config: AutoIFResourcesServerConfig

    async def verify(self, body: AutoIFVerifyRequest) -> AutoIFVerifyResponse:
        metadata = body.verifier_metadata
        reward = reward_of(metadata.get("grading_mode", "binary"))
        functions = [arguments["functions"] for arguments in metadata["kwargs"]]
        [found] = await reward.verify([read_reply(body.response.output)], functions=[functions])
        return AutoIFVerifyResponse(**body.model_dump(), reward=found)


if __name__ == "__main__":
    AutoIFResourcesServer.run_webserver()
'''

CONFIG = f"""\
{SERVER}:
  resources_servers:
    {SERVER}:
      entrypoint: app.py
      domain: instruction_following
      verified: false
      description: Instructions that model-written code verifies, run in a sandbox
{SERVER}_simple_agent:
  responses_api_agents:
    simple_agent:
      entrypoint: app.py
      resources_server:
        type: resources_servers
        name: {SERVER}
      model_server:
        type: responses_api_models
        name: policy_model
      datasets:
      - name: train
        type: train
        jsonl_fpath: {_FOLDER}/data/train.jsonl
"""

REQUIREMENTS = """\
-e nemo-gym[dev] @ ../../
autoif
"""


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return the folder of a resources server with the rows as its data; paths start at the root of a Gym checkout."""
    numbers = count()
    texts = {"app.py": APP, f"configs/{SERVER}.yaml": CONFIG, "requirements.txt": REQUIREMENTS}
    return make_files(
        f"{_FOLDER}/data/train.jsonl",
        lambda row: rl_row(next(numbers), row),
        rows.rewards,
        *(TextFile(f"{_FOLDER}/{name}", text) for name, text in texts.items()),
    )


def rl_row(number: int, row: RewardRow) -> Columns:
    """Return a row with the keys of Gym's instruction-following rows, and the agent that it is for."""
    return {
        "id": number,
        "responses_create_params": {"input": [row.prompt[0].model_dump()], "tools": [], "parallel_tool_calls": False},
        "verifier_metadata": {
            "instruction_id_list": [each.instruction_id for each in row.constraints],
            "prompt": row.prompt[0].content,
            "kwargs": [{"functions": list(each.functions)} for each in row.constraints],
            "grading_mode": "binary",
            **describe_reliability(row),
        },
        "agent_ref": {"type": "responses_api_agents", "name": f"{SERVER}_simple_agent"},
    }


def read_reply(output: list[Any]) -> str:
    """Return the text of the last message among a response's output items; "" if there is none."""
    messages = [item for item in output if getattr(item, "type", None) == "message"]
    parts = messages[-1].content if messages else []
    return "".join(getattr(part, "text", None) or "" for part in parts)
