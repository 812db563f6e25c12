"""The web application of NeMo Gym around an exported resources server: see tests/test_export_trainers.py."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from nemo_gym.server_utils import BaseServerConfig, ServerClient
from omegaconf import OmegaConf
from starlette.testclient import TestClient

SERVER = "autoif_instructions"


def make_application(folder: Path) -> TestClient:
    """Return a client of the server as Gym configures it from the exported YAML."""
    spec = importlib.util.spec_from_file_location("app", folder / "app.py")
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    configs = OmegaConf.load(folder / "configs" / f"{SERVER}.yaml")
    settings = OmegaConf.to_container(configs[SERVER].resources_servers[SERVER])
    config = app.AutoIFResourcesServerConfig.model_validate(
        {**settings, "name": SERVER, "host": "localhost", "port": 1}
    )
    client = ServerClient(head_server_config=BaseServerConfig(host="localhost", port=2), global_config_dict=configs)
    return TestClient(app.AutoIFResourcesServer(config=config, server_client=client).setup_webserver())


def respond(*output: dict[str, Any]) -> dict[str, Any]:
    """Return a response of the Responses API."""
    return {
        "id": "resp_1", "created_at": 0.0, "model": "m", "object": "response", "output": list(output),
        "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
    }  # fmt: skip


def say(answer: str) -> dict[str, Any]:
    text = {"type": "output_text", "text": answer, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}


def main(folder: Path, answers: list[str]) -> dict[str, object]:
    folder = folder / "resources_servers" / SERVER
    rows = [json.loads(line) for line in (folder / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    application = make_application(folder)
    thinking = {"type": "reasoning", "id": "rs_1", "summary": []}
    found: dict[str, object] = {"prompts": [row["responses_create_params"]["input"] for row in rows]}

    def reward(row: dict[str, Any], *output: dict[str, Any]) -> float:
        answered = application.post("/verify", json={**row, "response": respond(*output)})
        assert answered.status_code == 200, answered.text
        assert answered.json()["id"] == row["id"]
        return answered.json()["reward"]

    for mode in ("binary", "fraction"):
        for row in rows:
            row["verifier_metadata"]["grading_mode"] = mode
        found[mode] = [[reward(row, thinking, say(answer)) for answer in answers] for row in rows]
    found["no message"] = [reward(row, thinking) for row in rows]
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[3]))), encoding="utf-8")
