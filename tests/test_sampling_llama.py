"""Sampling from GGUF files and embedded models, with the real llama.cpp."""

from pathlib import Path

import pytest

from autoif.errors import ModelError
from autoif.evaluation.provenance import identify_policy
from autoif.models.catalog import find_weights, runs_in_llama_cpp
from autoif.models.download import ensure_model
from autoif.models.llama_process import make_params
from autoif.sampling import Sample, SamplingPrompt, SamplingSettings, endpoint, open_sampler, sample_all

MODEL = "smollm2-135m"
pytestmark = pytest.mark.usefixtures("one_core")

SETTINGS = SamplingSettings(responses=2, max_tokens=6, seed=3, batch_size=4)


def ask(model: str, file: Path, *texts: str, **changed: object) -> list[Sample]:
    settings = SETTINGS.model_copy(update=changed)
    prompts = [SamplingPrompt(id=text[:9], messages=({"role": "user", "content": text},)) for text in texts]
    return sample_all(prompts, settings, lambda: open_sampler(model, settings), file, print)


def test_a_gguf_file_and_the_embedded_model_that_it_is_give_the_same_draws_and_are_the_same_policy(tmp_path):
    path = str(ensure_model(MODEL))
    one = ask(MODEL, tmp_path / "one.jsonl", "Say tea.", "Say milk.")
    assert one == ask(path, tmp_path / "two.jsonl", "Say tea.", "Say milk.")
    assert len({each.text for each in one}) == 4
    assert identify_policy(MODEL, "auto") == identify_policy(path, "auto") == "b179c9523d0e, llama"


def test_the_likeliest_answer_is_the_same_each_time(tmp_path):
    first, second = ask(MODEL, tmp_path / "samples.jsonl", "Name three animals.", temperature=0.0, max_tokens=24)
    assert "dog" in first.text
    assert (first.text, first.finish_reason) == (second.text, second.finish_reason)


def test_a_prompt_that_the_context_of_the_model_has_no_room_for_is_refused_with_the_servers_words(tmp_path):
    samples = ask(MODEL, tmp_path / "samples.jsonl", "word " * 9000, responses=1)
    assert [(each.text, each.finish_reason) for each in samples] == [("", "refused")]
    assert "exceeds the available context size" in samples[0].detail


def test_a_folder_comes_before_an_embedded_model_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runs_in_llama_cpp(MODEL)
    (tmp_path / MODEL).mkdir()
    assert not runs_in_llama_cpp(MODEL)
    assert not runs_in_llama_cpp("HuggingFaceTB/SmolLM2-135M-Instruct")


def test_what_is_no_gguf_file_is_refused_before_llama_cpp_starts(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.gguf can't be read: No such file"):
        identify_policy(str(tmp_path / "gone.gguf"), "auto")
    (tmp_path / "text.gguf").write_text("Dear model,")
    with pytest.raises(ModelError, match=r"text\.gguf is no GGUF file"):
        find_weights(str(tmp_path / "text.gguf"))


def test_a_model_in_several_files_is_known_by_all_of_them(tmp_path):
    def write(folder: str, *contents: bytes) -> str:
        (tmp_path / folder).mkdir()
        for number, content in enumerate(contents, 1):
            (tmp_path / folder / f"m-{number:05}-of-00002.gguf").write_bytes(b"GGUF" + content)
        return str(tmp_path / folder / "m-00001-of-00002.gguf")

    one, same, other = write("a", b"x", b"y"), write("b", b"x", b"y"), write("c", b"x", b"z")
    assert find_weights(one).revision == find_weights(same).revision != find_weights(other).revision
    with pytest.raises(ModelError, match=r"m-00002-of-00002\.gguf can't be read"):
        find_weights(write("d", b"x"))


@pytest.mark.parametrize(("truncates", "kept"), [(False, (0, 0.0)), (True, (40, pytest.approx(0.05)))])
def test_a_policy_is_drawn_from_whole_and_a_supervision_model_as_llama_cpp_does(truncates, kept):
    settings = {
        "path": "m.gguf", "name": "m", "slots": 1, "context_tokens": 64, "threads": 1, "prompt_cache_mb": 0,
        "truncate_sampling": truncates,
    }  # fmt: skip
    sampling = make_params(settings).sampling
    assert (sampling.top_k, sampling.min_p) == kept


def test_sampling_asks_for_the_whole_distribution(monkeypatch):
    asked = {}
    monkeypatch.setattr(endpoint, "EmbeddedServer", lambda model, **options: asked.update(options) or 1 / 0)
    with pytest.raises(ZeroDivisionError), open_sampler(MODEL, SETTINGS):
        pass
    assert asked["truncate_sampling"] is False
