"""§3.4, iterative online DPO: rounds of sampling from the policy, verifying, pairing, and DPO on the pairs.

OUTPUT/round-1/samples.jsonl      K responses to each prompt from the policy at the round's start (autoif.sampling)
OUTPUT/round-1/verdicts.jsonl     verdicts of each prompt's functions and of the gate on each response
OUTPUT/round-1/preferences.jsonl  the pairs
OUTPUT/round-1/model/             the round's DPO: a trained folder of its own, whose model is the next round's policy
OUTPUT/round-2/ …
OUTPUT/                           the last round's model, whole, with a card and a record of all rounds

A round's reference is its policy at the start. A file exists only once it is complete (samples.jsonl grows by whole
batches). Resuming repeats the same steps: existing files are read, and missing ones are made.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError, StoreError
from autoif.messages import Say
from autoif.models.endpoint import Endpoint
from autoif.reading.jsonl import read_jsonl
from autoif.runs.store import PREFERENCES
from autoif.runs.whole_files import replacing, storage_errors, write_jsonl
from autoif.sampling import Sampler, SamplingSettings, open_sampler, sample_all
from autoif.sampling.backends import Backend, choose_backend
from autoif.sampling.policy import check_model, free_memory, load_tokenizer, read_vocabulary
from autoif.sampling.turn_end import adopt_turn_end
from autoif.training.card import CARD, METRICS, RECORD, read_metrics, write_card, write_record
from autoif.training.data import read_data
from autoif.training.folder import check_same, hold_output, is_finished, list_saved, open_output, whole_checkpoints
from autoif.training.identity import identify_model
from autoif.training.metrics import summarise
from autoif.training.online_pairs import (
    JudgedSample,
    OnlinePrompt,
    OnlineSettings,
    RoundCounts,
    draw_prompts,
    judge_samples,
    make_prompts,
    pair_samples,
)
from autoif.training.programs import check_program, find_policy, launch_dpo, serve_policy, split_command
from autoif.training.rendering import Template, fit_prompts
from autoif.training.settings import TrainingSettings, make_arguments
from autoif.training.train import TrainingRequest, make_record, train

SAMPLES, VERDICTS, MODEL = "samples.jsonl", "verdicts.jsonl", "model"


@dataclass(frozen=True, slots=True)
class OnlineRequest:
    """What to train, on which prompts, into which folder, and how."""

    data: Path
    """rewards.jsonl, a file of that form, or a run folder."""
    model: str
    """The SFT model: a folder, or a name on the hub."""
    output: Path
    online: OnlineSettings
    dpo: TrainingSettings
    """Settings of each round's DPO."""
    backend: Backend = "auto"
    """What samples from the policy. An endpoint must serve the policy of each round; this is checked."""
    serve: str = ""
    """Command that serves {model} at that endpoint, started and ended in each round."""
    launch: str = ""
    """Command that starts each round's DPO in separate processes, as `accelerate launch`; "" trains in this one."""
    resume: bool = False
    callbacks: Sequence[Any] = field(default=())
    """More callbacks for each DPO's trainer; not used with `launch`."""


@dataclass(frozen=True, slots=True)
class _Round:
    """One round: its folder, and the policy that it starts from."""

    number: int
    folder: Path
    policy: str
    """A model folder, or a name on the hub."""
    identity: str
    """Names the policy by its place in this training, whose identity the record guards."""


def train_online(request: OnlineRequest, say: Say = print) -> dict[str, Any]:
    """Train for all rounds, and return the record that training.json then holds.

    Raises ConfigError: wrong data or settings, or no round gave a pair. StoreError: the folder holds something else, or
    the disk is full; complete files stay.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "online-dpo is started once and starts the processes of each round's DPO itself: leave the launcher out, "
            "and give it as --launch 'accelerate launch ...'"
        )
    check_model(request.model)
    if "revision" in (request.dpo.arguments.get("model_init_kwargs") or {}):
        raise ConfigError(
            "model_init_kwargs.revision would hold for the DPO alone: give that revision's folder as --model"
        )
    with hold_output(request.output):
        return _train_rounds(request, say)


def _train_rounds(request: OnlineRequest, say: Say) -> dict[str, Any]:
    data = read_data(request.data, "grpo")
    before = open_output(request.output, resume=request.resume)
    model = identify_model(request.model, None, before and before["model"])
    identity = {
        "kind": "online-dpo",
        "model": model.content,
        "data": data.sha256,
        "sampler": _name_sampler(request),
        **request.online.identity(),
        **request.dpo.identity(),
    }
    if before:
        trained = any(request.output.glob(f"round-*/{MODEL}"))
        check_same(request.output, before, identity, model, None if trained else _shapes_samples)
        if is_finished(request.output, before, say):
            return before
    # Check now, before anything is written, what a round would only notice late.
    tokenizer, kwargs = load_tokenizer(request.model), request.online.chat_template_kwargs
    fit_prompts(data.rows, Template(tokenizer, kwargs, read_vocabulary(request.model)), 0, None)
    adopt_turn_end(tokenizer, request.model, data.rows[0]["prompt"], kwargs)
    make_arguments("dpo", request.dpo, request.output)
    if request.launch:
        check_program(split_command(request.launch, "--launch"), "--launch")
    with request.online.make_sandbox():
        pass
    prompts = make_prompts(data.rows)
    if len(prompts) < len(data.rows):
        say(f"{len(data.rows) - len(prompts)} of the {len(data.rows)} prompts are copies and left out")
    record = {
        **make_record("online-dpo", model, request.dpo), "data": data.record(), "eval_data": None,
        "online": {**request.online.record(), "sampler": _name_sampler(request)}, "identity": identity,
    }  # fmt: skip
    return _run(request, prompts, record, before, say)


def _shapes_samples(name: str) -> bool:
    """Tell whether a part of the identity shapes samples and pairs. Settings that only shape the DPO may change until
    one has begun, so that samples aren't lost when the trainer refuses such a setting."""
    return name in {"kind", "model", "data", "sampler"} or name.startswith("online.")


def _name_sampler(request: OnlineRequest) -> str:
    chosen = choose_backend(request.backend, request.model)
    return "endpoint" if isinstance(chosen, Endpoint) else chosen


def _run(
    request: OnlineRequest, prompts: list[OnlinePrompt], record: dict[str, Any], before: dict[str, Any] | None, say: Say
) -> dict[str, Any]:
    began, spent, folder = time.monotonic(), before["seconds"] if before else 0.0, request.output
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    rounds: list[dict[str, Any]] = []

    def note(status: str, **more: Any) -> dict[str, Any]:
        seconds = round(spent + time.monotonic() - began, 1)
        whole = {**record, "status": status, "seconds": seconds, "rounds": rounds, **more}
        with storage_errors(folder):
            write_record(folder, whole)
        return whole

    note("running")
    try:
        policy, identity = request.model, record["model"]["content"]
        for number in range(1, request.online.rounds + 1):
            step = _Round(number, folder / f"round-{number}", policy, identity)
            rounds.append(_run_round(request, prompts, step, say))
            if rounds[-1]["trained"]:
                policy, identity = str(step.folder / MODEL), f"model of round {number}"
            note("running")
        if policy == request.model:
            raise ConfigError(_explain_no_pair(rounds))
        finished = _finish(folder, Path(policy), rounds)
    except BaseException:
        with suppress(StoreError):  # the disk may be what went wrong
            note("interrupted")
        raise
    complete = {**record, **finished, "status": "complete", "rounds": rounds}
    with storage_errors(folder):
        write_card(folder, complete)
    return note("complete", **finished)


def _run_round(request: OnlineRequest, prompts: list[OnlinePrompt], step: _Round, say: Say) -> dict[str, Any]:
    """Do the missing steps of a round; return its entry for the record."""
    say(f"round {step.number} of {request.online.rounds}, from {step.policy}")
    counts = _make_pairs(request, draw_prompts(prompts, request.online, step.number), step, say)
    say(f"round {step.number}: {_describe_counts(counts)}")
    row = {"round": step.number, "policy": step.policy, **counts.model_dump(), "trained": counts.pairs > 0}
    if not counts.pairs:
        say(f"round {step.number} has no pair to learn from: the policy stays as it is")
        return row
    trained = _train_round(request, step, say)
    return {**row, **{key: trained[key] for key in ("lengths", "steps", "seconds", "metrics")}}


def _make_pairs(request: OnlineRequest, prompts: list[OnlinePrompt], step: _Round, say: Say) -> RoundCounts:
    """Sample, verify and pair, unless done already; write the three files."""
    settings = request.online
    with (
        settings.make_sandbox() as sandbox
    ):  # first, so that a machine without a sandbox fails before hours of sampling
        sampling = settings.sampling(step.number)
        samples = sample_all(
            [prompt.to_sample() for prompt in prompts], sampling, lambda: _open_policy(request, step, sampling, say),
            step.folder / SAMPLES, say, policy=f"{step.identity}, {_name_sampler(request)}",
        )  # fmt: skip
        file = step.folder / VERDICTS
        if file.exists():
            judged = read_jsonl(file, JudgedSample)
        else:
            judged = judge_samples(prompts, samples, sandbox)
            write_jsonl(file, judged)
    asked = [(sample.prompt_id, sample.index) for sample in samples]
    if asked != [(found.prompt_id, found.index) for found in judged]:
        raise StoreError(f"{file} has not the verdicts of {SAMPLES}: delete it to verify anew")
    rows, counts = pair_samples(prompts, samples, judged, settings)
    write_jsonl(step.folder / PREFERENCES, rows)
    return counts


@contextmanager
def _open_policy(request: OnlineRequest, step: _Round, sampling: SamplingSettings, say: Say) -> Iterator[Sampler]:
    free_memory()  # of the last round's training
    backend = choose_backend(request.backend, step.policy)
    if not isinstance(backend, Endpoint):
        with open_sampler(step.policy, sampling, backend, say) as sampler:
            yield sampler
        return
    served: AbstractContextManager[Endpoint] = (
        serve_policy(request.serve, backend, step.policy, step.folder / "server.log", say)
        if request.serve
        else find_policy(backend, step.policy)
    )
    with served as endpoint, open_sampler(step.policy, sampling, endpoint, say) as sampler:
        yield sampler


def _train_round(request: OnlineRequest, step: _Round, say: Say) -> dict[str, Any]:
    """Train on the round's pairs, from the last checkpoint if there is one."""
    dpo = TrainingRequest(
        "dpo", step.folder / PREFERENCES, step.policy, step.folder / MODEL, request.dpo, resume=True,
        callbacks=request.callbacks,
    )  # fmt: skip
    record = launch_dpo(request.launch, dpo, say) if request.launch else train(dpo, say)
    with storage_errors(dpo.output):
        for checkpoint in whole_checkpoints(dpo.output):
            shutil.rmtree(
                checkpoint
            )  # the model is saved; optimiser states would take four times its space, each round
    return record


def _finish(folder: Path, model: Path, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Copy the last model to the output folder, gather the metrics of all rounds, and return both for the record."""
    with storage_errors(folder):
        for path in sorted(model.iterdir()):
            if path.is_file() and path.name not in {RECORD, CARD, METRICS}:
                with replacing(folder / path.name) as temporary:
                    shutil.copyfile(path, temporary)
    trained = [row["round"] for row in rounds if row["trained"]]
    metrics = [
        {"round": number, **row} for number in trained for row in read_metrics(folder / f"round-{number}" / MODEL)
    ]
    write_jsonl(folder / METRICS, metrics)
    lengths = [row["lengths"] for row in rounds if row["trained"]]
    return {
        "steps": sum(row["steps"] for row in rounds if row["trained"]),
        "lengths": {
            **{
                name: sum(each.get(name, 0) for each in lengths)
                for name in ("rows", "truncated", "dropped", "identical")
            },
            "longest": max(each["longest"] for each in lengths),
        },
        "metrics": summarise(metrics),
        "saved": list_saved(folder),
    }


def _describe_counts(counts: RoundCounts) -> str:
    return (
        f"{counts.pairs:,} pairs from {counts.paired:,} of {counts.prompts:,} prompts ({counts.all_pass:,} all pass, "
        f"{counts.all_fail:,} all fail, {counts.neither:,} neither, {counts.unfinished:,} never finished); of "
        f"{counts.responses:,} responses {counts.truncated:,} truncated, {counts.gated:,} gated"
        f"{_describe_thoughts(counts)}"
    )


def _describe_thoughts(counts: RoundCounts) -> str:
    text = f", {counts.refused:,} refused by the server" if counts.refused else ""
    if counts.reasoned:
        text += f"; {counts.reasoned:,} had thoughts, which are left out, and {counts.only_reasoning:,} nothing else"
    return text


def _explain_no_pair(rounds: list[dict[str, Any]]) -> str:
    passed, failed, cut, drawn = (
        sum(row[name] for row in rounds) for name in ("all_pass", "all_fail", "truncated", "responses")
    )
    if 2 * cut > drawn:
        return (
            f"no round gave a pair: {cut:,} of {drawn:,} responses didn't end within online.max_tokens: raise it, or "
            "train the model by `autoif train sft` first, from which it learns to end its turn"
        )
    return (
        f"no round gave a pair ({passed} times all responses passed, {failed} times all failed): raise "
        "online.responses_per_prompt, online.temperature or online.max_tokens, or take other prompts or another model"
    )
