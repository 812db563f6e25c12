"""What a collector is told of a run: spans and counts, no text and no key; and that a run without one is as it was."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from autoif.runs.store import read_stage
from support.collector import attributes_of, running_collector
from support.command import fails_here, run_here
from support.processes import data_of, model_server, stages_of

KEY = "a-key-that-nobody-else-may-see"
TEXT = "a sentence that is only in the prompt"
FEW = ("--set", "self_instruct.max_instructions=3", "--set", "sandbox.workers=1")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run that was told of, one that was not, and the collector."""
    folder = tmp_path_factory.mktemp("told")
    prompt = folder / "responder.txt"
    prompt.write_text(f"{TEXT}\n{{prompt}}\n")
    command = ["run", "quickstart", *FEW, "--set", f"prompts.responder={prompt}", "--quiet", "--model", "test"]
    with model_server(folder) as server, running_collector() as collector:
        address = ("--base-url", server.url, "-o")
        variables = {"OPENAI_API_KEY": KEY, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        done = run_here(*command, *address, "told", cwd=folder, **variables)
        assert done.returncode == 0, done.stderr
        assert run_here(*command, *address, "untold", cwd=folder, OPENAI_API_KEY=KEY).returncode == 0
    return folder / "told", folder / "untold", collector


def test_a_run_with_a_collector_makes_the_same_bytes(told):
    assert data_of(told[0]) == data_of(told[1])
    assert stages_of(told[0]) == stages_of(told[1])


def test_requests_are_parts_of_a_stage_of_a_shard_and_these_of_the_run(told):
    run, _, collector = told
    [root] = collector.named("autoif run")
    assert attributes_of(root) == {"autoif.preset": "quickstart"}
    stages = {span.span_id: span for span in collector.spans if span.name[:2].isdigit()}
    assert {span.parent_span_id for span in stages.values()} == {root.span_id}
    written = {
        (path.parent.name, int(path.stem[-4:]))
        for path in run.glob("0*/*-*.jsonl")
        if "01_" not in str(path) and path.stat().st_size
    }
    assert sorted(written) == sorted((span.name, attributes_of(span)["autoif.shard"]) for span in stages.values())
    for span in stages.values():
        assert root.start_time_unix_nano < span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano < root.end_time_unix_nano
    requests = [*collector.named("chat test"), *collector.named("text_completion test")]
    usage = json.loads((run / "run.json").read_text())["usage"]
    assert len(requests) == sum(stage["requests"] for stage in usage.values())
    answers = [attributes_of(each) for each in requests if each.parent_span_id in stages]
    assert {"rejection_sampling", "verification"} <= {each["autoif.stage"] for each in answers}
    assert all(each["gen_ai.request.model"] == "test" and each["gen_ai.usage.output_tokens"] for each in answers)


def test_counts_are_those_of_the_run(told):
    run, _, collector = told
    usage = json.loads((run / "run.json").read_text())["usage"]
    tokens = collector.points("gen_ai.client.token.usage")
    for kind, name in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        found = Counter[str]()
        for at, point in tokens:
            found[at["autoif.stage"]] += point.sum if at["gen_ai.token.type"] == kind else 0
        assert found == {stage: each[name] for stage, each in usage.items()}
    asked = Counter[str]()
    for at, point in collector.points("gen_ai.client.operation.duration"):
        asked[at["autoif.stage"]] += point.count
    assert asked == {stage: each["requests"] for stage, each in usage.items()}
    [(_, retries)] = collector.points("autoif.retries")
    assert retries.as_int == 0
    for outcome in ("kept", "dropped"):
        told_of = [(at, point.as_int) for at, point in collector.points("autoif.records")]
        for path in run.glob("0*_*"):
            counted = sum(
                count for at, count in told_of if (at["autoif.stage"], at["autoif.outcome"]) == (path.name, outcome)
            )
            assert counted == sum(1 for _ in read_stage(run, path.name, outcome)), (path.name, outcome)


def test_no_text_and_no_key_leaves_the_machine(told):
    run, _, collector = told
    sent = b"".join(collector.raw)
    words = [TEXT, KEY, *(row["text"] for row in read_stage(run, "01_self_instruct", "kept"))]
    words += [json.loads(line)["messages"][-1]["content"] for line in (run / "sft.jsonl").read_text().splitlines()]
    assert len(words) > 4
    assert not [each for each in words if each.encode() in sent]
    assert b"gen_ai.usage.output_tokens" in sent


def test_an_error_is_named_by_its_class_and_not_by_its_words(tmp_path):
    with running_collector() as collector:
        said = fails_here(
            "run", "quickstart", *FEW, "--base-url", "http://127.0.0.1:9/v1", "--model", "test", "-o", "run", "--quiet",
            "--set", f"execution.otlp_endpoint={collector.url}", cwd=tmp_path,
        )  # fmt: skip
        assert "no server at" in said
    [root] = collector.named("autoif run")
    assert attributes_of(root)["error.type"] == "ModelError"
    assert root.status.code == 2
    assert b"no server at" not in b"".join(collector.raw)
    assert {at["error.type"] for at, _ in collector.points("gen_ai.client.operation.duration")} == {"ModelError"}


def test_the_standard_variables_say_who_tells_and_what(tmp_path, monkeypatch):
    from autoif.telemetry import open_telemetry

    monkeypatch.setenv("OTEL_SERVICE_NAME", "night run")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    with running_collector() as collector:
        with open_telemetry(collector.url) as telemetry, telemetry.run("paper"):
            telemetry.count_records("01_self_instruct", 3, [])
            assert telemetry.traceparent()
        assert (collector.resources[0]["service.name"], collector.metrics) == ("night run", {})
        assert collector.resources[0]["service.version"]
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        with open_telemetry(collector.url) as telemetry, telemetry.run("paper"):
            assert telemetry.traceparent() == ""
    assert len(collector.spans) == 1


def test_spans_of_another_process_are_parts_of_the_run(monkeypatch):
    from autoif.telemetry import open_telemetry

    with running_collector() as collector:
        with open_telemetry(collector.url) as telemetry, telemetry.run("paper"):
            span = telemetry.traceparent()
        with (
            open_telemetry(collector.url, traceparent=span) as there,
            there.shard("queries", 4) as enter,
            enter("05_x"),
        ):
            pass
    [root], [stage] = collector.named("autoif"), collector.named("05")
    assert (stage.trace_id, stage.parent_span_id) == (root.trace_id, root.span_id)


def test_a_collector_that_takes_nothing_costs_a_line_and_not_the_run(tmp_path):
    from autoif.telemetry import open_telemetry

    said = []
    with (
        running_collector(status=400) as collector,
        open_telemetry(collector.url, said.append) as telemetry,
        telemetry.run("paper"),
    ):
        pass
    assert len(said) == 1
    assert said[0].startswith("telemetry may be incomplete: ")
    assert "400" in said[0]


def test_without_the_package_a_setting_is_refused_and_a_variable_named_in_one_line(tmp_path):
    code = """
import sys
sys.modules["opentelemetry"] = None
from autoif.errors import ConfigError
from autoif.telemetry import open_telemetry
with open_telemetry("", print) as telemetry, telemetry.run("paper"):
    pass
try:
    with open_telemetry("http://127.0.0.1:4318"):
        pass
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        capture_output=True,
        text=True,
    )
    lacking = "telemetry needs its extra: pip install 'autoif[otel]'"
    assert done.stdout.splitlines() == [
        f"a collector is named by OTEL_EXPORTER_OTLP_*, and nothing is sent to it: {lacking}",
        f"execution.otlp_endpoint: {lacking}",
    ], done.stderr


def test_without_a_collector_nothing_of_it_is_imported():
    code = """
import sys
import autoif.runs.orchestration
from autoif.telemetry import open_telemetry
with open_telemetry("") as telemetry, telemetry.run("paper"), telemetry.shard("queries", 0) as enter, enter("x"):
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_address_that_is_none_is_refused(tmp_path):
    for url in ("localhost:4318", "http://user:secret@127.0.0.1:4318"):
        said = fails_here("run", "quickstart", "--set", f"execution.otlp_endpoint={url}", cwd=tmp_path)
        assert "OTEL_EXPORTER_OTLP_HEADERS" in said
        assert "secret" not in said
