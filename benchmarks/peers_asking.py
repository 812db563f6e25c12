"""Ask a server by one peer, in that peer's environment, where there is no autoif. `benchmarks/peers.py` starts it.

Each way is what the peer's own documentation shows for an OpenAI-compatible server: 256 requests at a time, no limit on
their rate, no cache, and as little display as it allows. Time is taken once it is imported and set up.

    python benchmarks/peers_asking.py WAY URL PROMPTS.json
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

SLOTS = 256
NO_LIMIT = 10**9

Ask = Callable[[], list[str]]
"""Returns the answers to all prompts."""


def with_curator(url: str, prompts: list[str]) -> Ask:
    from bespokelabs import curator

    class Asker(curator.LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, str]) -> str:
            return row["prompt"]

        def parse(self, row: dict[str, str], response: str) -> dict[str, str]:
            return {"answer": response}

    limits = {"max_requests_per_minute": NO_LIMIT, "max_tokens_per_minute": NO_LIMIT}
    server = {"base_url": url, "api_key": "none", "max_concurrent_requests": SLOTS}
    model = Asker(model_name="stub", backend="openai", backend_params=server | limits)
    return lambda: list(model([{"prompt": each} for each in prompts]).dataset["answer"])


def with_data_designer(url: str, prompts: list[str]) -> Ask:
    import data_designer.config as dd
    import pandas
    from data_designer.interface import DataDesigner

    provider = dd.ModelProvider(name="stub", endpoint=url, provider_type="openai", api_key="none")
    model = dd.ModelConfig(
        alias="model",
        model="stub",
        provider="stub",
        inference_parameters=dd.ChatCompletionInferenceParams(max_parallel_requests=SLOTS),
        skip_health_check=True,
    )
    designer = DataDesigner(artifact_path="artifacts", model_providers=[provider])
    designer.set_run_config(dd.RunConfig(progress_interval=NO_LIMIT, otel_metrics_port=None))
    config = dd.DataDesignerConfigBuilder(model_configs=[model])
    config.with_seed_dataset(dd.DataFrameSeedSource(df=pandas.DataFrame({"prompt": prompts})))
    config.add_column(dd.LLMTextColumnConfig(name="answer", model_alias="model", prompt="{{ prompt }}"))
    return lambda: list(designer.create(config, num_records=len(prompts)).load_dataset()["answer"])


def with_distilabel_pipeline(url: str, prompts: list[str]) -> Ask:
    from datasets import Dataset
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps.tasks import TextGeneration

    model = OpenAILLM(model="stub", base_url=url, api_key="none")
    with Pipeline(cache_dir="cache") as pipeline:
        TextGeneration(llm=model, input_batch_size=SLOTS, add_raw_input=False, add_raw_output=False)
    rows = Dataset.from_dict({"instruction": prompts})

    def ask() -> list[str]:
        distiset = pipeline.run(dataset=rows, use_cache=False, dataset_batch_size=SLOTS)
        return list(distiset["default"]["train"]["generation"])

    return ask


def with_distilabel_client(url: str, prompts: list[str]) -> Ask:
    from distilabel.models import OpenAILLM

    model = OpenAILLM(model="stub", base_url=url, api_key="none")
    model.load()
    inputs = [[{"role": "user", "content": each}] for each in prompts]
    batches = [inputs[start : start + SLOTS] for start in range(0, len(inputs), SLOTS)]
    return lambda: [each["generations"][0] for batch in batches for each in model.generate_outputs(inputs=batch)]


WAYS = {
    "curator": with_curator,
    "DataDesigner": with_data_designer,
    "distilabel pipeline": with_distilabel_pipeline,
    "distilabel client": with_distilabel_client,
}


def _cpu_s() -> float:
    """Return what this process and those that it started and that have ended have used."""
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints goes where errors go
    way, url, file = sys.argv[1:]
    ask = WAYS[way](url, json.loads(Path(file).read_text()))
    print("ready", file=said, flush=True)
    sys.stdin.readline()
    began, used = time.perf_counter(), _cpu_s()
    answers = ask()
    found = {"whole_s": time.perf_counter() - began, "cpu_s": _cpu_s() - used, "answers": len(set(answers))}
    print(json.dumps(found), file=said, flush=True)


if __name__ == "__main__":
    main()
