"""The embedded model in OpenVINO: what its server answers, beside llama.cpp's, and when it is chosen."""

import http.client
import json
import math
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from autoif.errors import ModelError
from autoif.models import embedded, runtimes
from autoif.models.catalog import GgufFile, find_model
from autoif.models.dialect import Dialect, is_too_long, narrow
from autoif.models.embedded import EmbeddedServer, serve_model
from autoif.models.endpoint import Endpoint
from autoif.models.runtimes import RUNTIMES, choose_runtime
from support.command import run_here

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not runtimes.is_installed("openvino"), reason="OpenVINO has no wheel for this machine"
)
MODEL = "smollm2-135m"
HELLO = {"messages": [{"role": "user", "content": "Say hello."}], "seed": 1, "max_tokens": 12}
CONTEXT = 160


@pytest.fixture(scope="module")
def server():
    with EmbeddedServer(MODEL, slots=4, context_tokens=CONTEXT, threads=1, runtime="openvino") as server:
        yield server


@pytest.fixture(scope="module")
def url(server):
    return server.endpoint(Endpoint()).base_url


@pytest.fixture(scope="module")
def llama_url():
    with EmbeddedServer(MODEL, slots=1, context_tokens=CONTEXT, threads=1, truncate_sampling=False) as server:
        yield server.endpoint(Endpoint()).base_url


def ask(url: str, path: str = "/chat/completions", **fields: Any) -> dict[str, Any]:
    body = ({} if "prompt" in fields else HELLO) | fields
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def refuse(url: str, **fields: Any) -> str:
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(url, **fields)
    with raised.value as answer:
        assert answer.code == 400
        return json.load(answer)["error"]["message"]


def texts(answer: dict[str, Any]) -> list[str]:
    return [choice["message"]["content"] for choice in answer["choices"]]


def test_a_greedy_answer_begins_as_that_of_llama_cpp_and_is_counted_alike(url, llama_url):
    ours, theirs = (ask(each, temperature=0, top_p=1.0) for each in (url, llama_url))
    assert texts(ours)[0][:10] == texts(theirs)[0][:10] == "Hello! I'm"
    assert ours["usage"]["prompt_tokens"] == theirs["usage"]["prompt_tokens"]
    assert ours["usage"]["completion_tokens"] == 12
    assert ours["choices"][0]["finish_reason"] == "length"
    assert ours["model"] == MODEL


def test_samples_of_a_request_differ_and_follow_from_its_seed(url):
    first, again, other = (texts(ask(url, temperature=1.0, n=3, seed=seed)) for seed in (5, 5, 6))
    assert first == again != other
    assert len(set(first)) == 3


@pytest.mark.parametrize("samples", [1, 3])
def test_every_sample_keeps_to_a_schema(url, samples):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "size": {"type": "integer", "maximum": 99}},
        "required": ["name", "size"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    question = 'Give an animal in one line of JSON, such as {"name": "cat", "size": 4}.'
    fields = {"messages": [{"role": "user", "content": question}], "max_tokens": 80, "min_p": 0.2}
    found = texts(ask(url, **fields, temperature=1.0, n=samples, response_format=form))
    assert len(found) == samples
    for text in found:
        assert {*json.loads(text)} == {"name", "size"}


@pytest.mark.parametrize("chat", [True, False])
def test_alternatives_to_the_first_token_have_the_models_own_probabilities(url, llama_url, chat):
    question = "Is the sky blue? Answer yes or no."
    prompt = {"messages": [{"role": "user", "content": question}]} if chat else {"prompt": f"{question}\nAnswer:"}
    path = "/chat/completions" if chat else "/completions"

    def read(server: str) -> dict[str, float]:
        [choice] = ask(server, path, **prompt, temperature=0, max_tokens=1, seed=3, logprobs=5)["choices"]
        [first] = choice["logprobs"]["content"]
        return {each["token"]: math.exp(each["logprob"]) for each in first["top_logprobs"] if each["token"]}

    ours = read(url)
    drawn = ask(url, path, **prompt, temperature=1.0, max_tokens=1, seed=4, n=60)["choices"]
    counts = Counter(each["message"]["content"] if chat else each["text"] for each in drawn)
    assert 0.8 < sum(ours.values()) <= 1.001 or len(ours) > 10
    for token, share in ours.items():
        if share > 0.1 and not token.startswith("<|"):  # a special one has no text
            # Three standard deviations, and what top-k and min-p take from others.
            assert counts[token] / 60 == pytest.approx(share, abs=0.2)
    theirs = read(llama_url)
    likeliest = max(theirs, key=theirs.__getitem__)
    assert ours[likeliest] > theirs[likeliest] / 3  # a model of 135M parameters feels each runtime's rounding


def test_an_answer_ends_at_a_stop_text(url):
    whole = texts(ask(url, temperature=0, max_tokens=40))[0]
    stop = whole.split()[1]
    [choice] = ask(url, temperature=0, max_tokens=40, stop=[stop])["choices"]
    assert choice["message"]["content"].strip() == whole.partition(stop)[0].strip()
    assert choice["finish_reason"] == "stop"


def test_what_is_asked_at_the_same_time_is_answered_as_if_alone(url):
    questions = [[{"role": "user", "content": f"Name {number} animals."}] for number in range(2, 8)]
    alone = [texts(ask(url, messages=each, temperature=0)) for each in questions]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda each: texts(ask(url, messages=each, temperature=0)), questions))
    same = [one[:20] == other[:20] for [one], [other] in zip(alone, together, strict=True)]
    assert sum(same) >= 5  # sums in another order may tip one


def test_what_cannot_be_answered_is_refused_with_its_reason(url):
    long = [{"role": "user", "content": "word " * CONTEXT}]
    assert is_too_long(refuse(url, messages=long))
    assert refuse(url, grammar="root") == "unknown field: grammar"
    assert "top_p" in refuse(url, temperature=0.5, top_p=7.0)
    assert texts(ask(url, temperature=0))  # and it still answers


@pytest.mark.parametrize(
    "field",
    [
        {"top_k": "all"}, {"seed": -1}, {"seed": 1 << 64}, {"seed": "1"}, {"temperature": "hot"}, {"max_tokens": "12"},
        {"max_tokens": -1}, {"n": "2"}, {"n": -1}, {"stop": 5}, {"stop": [5]}, {"messages": "hello"}, {"messages": []},
        {"messages": [{"role": "user"}]}, {"messages": [{"role": "user", "content": "\ud800"}]}, {"prompt": ["a", "b"]},
        {"prompt": ""}, {"prompt": "\ud800"}, {"response_format": "json"}, {"response_format": {"type": "regex"}},
        {"chat_template_kwargs": "none"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_field_of_another_form_is_refused_by_its_name(url, field):
    [name] = field
    path = "/completions" if name == "prompt" else "/chat/completions"
    assert refuse(url, path=path, **{"temperature": 0.5} | field).startswith(name)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"5", b"hello", b"[" * 100_000], ids=lambda body: repr(body[:5]))
def test_a_body_that_is_no_object_is_refused(url, body):
    request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=60)
    with raised.value as answer:
        assert answer.code == 400
        assert "JSON" in json.load(answer)["error"]["message"]


def test_a_field_that_is_null_is_none(url):
    assert texts(ask(url, temperature=0, n=None, stop=None, top_p=None, response_format=None, seed=None)) == texts(
        ask(url, temperature=0)
    )


def test_json_of_any_form_can_be_asked_for(url):
    [text] = texts(ask(url, temperature=0, max_tokens=5, response_format={"type": "json_object"}))
    assert text.startswith("{")
    assert texts(ask(url, temperature=0, response_format={"type": "text"})) == texts(ask(url, temperature=0))


def test_a_request_that_makes_openvino_fail_harms_no_other(url):
    def read(schema: dict[str, Any] | None) -> str:
        if schema is None:
            return texts(ask(url, temperature=0, max_tokens=40))[0][:10]  # what runs beside it may tip later words
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        return refuse(url, response_format=form)

    alone = read(None)
    with ThreadPoolExecutor(3) as pool:
        first, refusal, second = pool.map(read, [None, {"type": "nonsense"}, None])
    assert refusal.startswith("the JSON schema can't be kept to (Unsupported type")
    assert first == second == alone == read(None)


def test_more_samples_than_openvino_writes_together_are_asked_for_in_several_requests(url):
    complaint = refuse(url, n=300)
    assert complaint == "n must be at most 256"
    narrowed = narrow(Dialect(), {"n": 300}, complaint)
    assert narrowed is not None
    assert narrowed.dialect.samples_per_request == 150
    assert len(texts(ask(url, n=150, temperature=1.0, max_tokens=2))) == 150


def change_process(monkeypatch, tmp_path, code: str) -> None:
    """Have OpenVINO's process run this before it starts."""
    ends = ("import autoif.models.openvino_process as process\n", "process.serve_while_wanted(process.serve)\n")
    (tmp_path / "autoif_changed_process.py").write_text(code.join(ends))
    monkeypatch.setitem(RUNTIMES, "openvino", RUNTIMES["openvino"]._replace(process="autoif_changed_process"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


def test_a_process_that_cannot_go_on_says_why(monkeypatch, tmp_path):
    change_process(
        monkeypatch,
        tmp_path,
        "load, loaded = process.Pipeline._load, []\n"
        "def load_once(self):\n"
        "    if loaded:\n"
        "        raise RuntimeError('no memory for another')\n"
        "    loaded.append(self)\n"
        "    return load(self)\n"
        "process.Pipeline._load = load_once\n",
    )
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "nonsense"}}}
    with EmbeddedServer(MODEL, slots=1, context_tokens=CONTEXT, threads=1, runtime="openvino") as server:
        assert server.explain_end() is None
        with pytest.raises((OSError, http.client.HTTPException)) as raised:
            ask(server.endpoint(Endpoint()).base_url, response_format=form)
        if isinstance(raised.value, urllib.error.HTTPError):
            raised.value.close()
        assert "smollm2-135m (RuntimeError: no memory for another): free memory" in str(server.explain_end())


def test_samples_that_do_not_fit_into_the_memory_are_refused_not_cut(monkeypatch, tmp_path):
    change_process(
        monkeypatch,
        tmp_path,
        "class Scheduler(process.ov.SchedulerConfig):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.num_kv_blocks = 16  # of 32 tokens\n"
        "process.ov.SchedulerConfig = Scheduler\n",
    )
    long = {"prompt": "word " * 600, "path": "/completions"}
    with EmbeddedServer(MODEL, slots=4, context_tokens=1000, threads=1, runtime="openvino") as server:
        small = server.endpoint(Endpoint()).base_url
        story = [{"role": "user", "content": "Tell a long story."}]
        complaint = refuse(small, messages=story, n=8, max_tokens=150, min_p=0.0, top_k=-1, temperature=1.0)
        assert complaint.startswith("n must be less than 8")
        narrowed = narrow(Dialect(), {"n": 8}, complaint)
        assert narrowed is not None
        assert narrowed.dialect.samples_per_request == 4
        assert is_too_long(refuse(small, **long))
        assert len(texts(ask(small, n=2, temperature=1.0))) == 2


def test_nothing_is_written_for_one_who_has_gone_away(server, url):
    def read_seconds() -> float:
        stat = Path(f"/proc/{server._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    long = HELLO | {"n": 25, "max_tokens": 60, "temperature": 2.0, "top_k": -1, "min_p": 0.0}
    start = read_seconds()
    ask(url, **long)
    whole = read_seconds() - start
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    start = read_seconds()
    connection.request("POST", f"{address.path}/chat/completions", json.dumps(long))
    while read_seconds() < start + whole / 10:
        time.sleep(0.01)
    connection.close()
    before = -1.0
    while before < (now := read_seconds()):
        before = now
        time.sleep(0.5)
    assert now - start < whole / 2


def test_fields_of_sampling_and_of_the_chat_template_are_honoured(url):
    greedy = texts(ask(url, temperature=0))
    assert texts(ask(url, temperature=2.0, top_k=1)) == greedy
    assert (
        texts(ask(url, temperature=2.0, top_k=-1, min_p=0.99, chat_template_kwargs={"enable_thinking": False}))
        == greedy
    )
    assert len({*texts(ask(url, temperature=2.0, top_k=-1, min_p=0.0, n=4))}) == 4


def test_an_answer_stays_within_the_context(url):
    answer = ask(url, temperature=1.0, max_tokens=5000)
    assert answer["usage"]["total_tokens"] <= CONTEXT


def describe_machine(monkeypatch, tmp_path, *, flags: str = "avx2 avx512_vnni", free_gb: float = 8, limit: str = "max"):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags}\n")
    (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {round(free_gb * 1e6)} kB\n")
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("1000000000")
    for name, path in {"_CPU": "cpuinfo", "_MEMORY": "meminfo", "_GROUP": "."}.items():
        monkeypatch.setattr(runtimes, name, tmp_path / path)


def test_openvino_is_chosen_where_it_is_known_to_be_quicker(monkeypatch, tmp_path):
    model = find_model("qwen2.5-coder-1.5b")
    describe_machine(monkeypatch, tmp_path)
    assert choose_runtime(model) == "openvino"
    assert choose_runtime(GgufFile(name="m", path=tmp_path / "m.gguf", revision="x")) == "llama.cpp"
    monkeypatch.setitem(sys.modules, "openvino_genai", None)
    assert choose_runtime(model) == "llama.cpp"


@pytest.mark.parametrize(
    "machine",
    [{"flags": "avx2"}, {"free_gb": 4}, {"limit": "6000000000"}],
    ids=["an older processor", "little memory", "a container with little memory"],
)
def test_llama_cpp_is_chosen_on_other_machines(monkeypatch, tmp_path, machine):
    describe_machine(monkeypatch, tmp_path, **machine)
    assert choose_runtime(find_model("qwen2.5-coder-1.5b")) == "llama.cpp"


def test_llama_cpp_takes_the_place_of_an_openvino_that_fails_unless_that_was_asked_for(monkeypatch, tmp_path):
    describe_machine(monkeypatch, tmp_path)
    broken = tmp_path / "autoif_broken_process.py"
    broken.write_text("raise SystemExit('out of luck')")
    monkeypatch.setitem(RUNTIMES, "openvino", RUNTIMES["openvino"]._replace(process="autoif_broken_process"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said: list[str] = []
    with serve_model(MODEL, slots=1, runtime="auto", asked="judge", say=said.append) as server:
        assert server.runtime == "llama.cpp"
    assert said[0] == "judge: smollm2-135m on this machine, by OpenVINO (a server: --base-url and --model)"
    assert "(out of luck)" in said[1]
    assert said[1].endswith("; llama.cpp takes its place")
    with (
        pytest.raises(ModelError, match=r"OpenVINO can't load .*out of luck"),
        serve_model(MODEL, slots=1, runtime="openvino", asked="judge", say=said.append),
    ):
        pass


def test_a_run_keeps_the_runtime_that_it_began_with_unless_another_is_named(monkeypatch, tmp_path):
    few = {
        "models.all.model": MODEL, "self_instruct.max_instructions": 1, "self_instruct.rewrites_per_seed": 0,
        "prompts.verification": "quickstart", "verification.vocabulary": "false", "verification.max_tokens": 32,
        "verification.functions_per_instruction": 1, "verification.max_functions": 1,
    }  # fmt: skip
    given = [f"{name}={value}" for name, value in few.items()]
    (tmp_path / "seeds.txt").write_text("Use no commas.\n")

    def run(*more: str) -> str:
        sets = [part for each in (*given, *more) for part in ("--set", each)]
        run_here(
            "run", "quickstart", "--seeds", "seeds.txt", "--until", "instructions", "-o", "run", *sets, cwd=tmp_path
        )
        return json.loads((tmp_path / "run" / "run.json").read_text())["runtime"]

    describe_machine(monkeypatch, tmp_path, flags="avx2")
    assert run() == "llama.cpp"
    describe_machine(monkeypatch, tmp_path)
    assert run() == "llama.cpp"
    assert run("models.runtime=openvino") == "openvino"


def test_a_model_that_may_only_be_read_is_left_to_llama_cpp(monkeypatch, tmp_path):
    path = tmp_path / "read_only.gguf"
    shutil.copy(str(shutil.which("sleep")), path)
    monkeypatch.setattr(embedded, "ensure_model", lambda name: path)
    with subprocess.Popen([path, "60"]) as running:  # nobody may write a program that runs, not even root
        with (
            pytest.raises(ModelError, match=r"OpenVINO can't load .*, as it opens it for writing \(.*busy"),
            EmbeddedServer(MODEL, runtime="openvino"),
        ):
            pass
        running.kill()
