"""§3.4, one training: from a request to a trained folder.

OUTPUT/training.json  README.md  metrics.jsonl     what was trained, from what, and how it went
OUTPUT/config.json  model.safetensors  tokenizer…  the model, whole; with LoRA the adapter is in adapter/ as well
OUTPUT/checkpoint-STEP/                            what `--resume` goes on from
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import PrinterCallback

from autoif.errors import ConfigError
from autoif.training.card import describe_ancestry, versions, write_card, write_record
from autoif.training.checkpoints import remove_broken, step_of, whole_checkpoints
from autoif.training.data import Kind, Row, TrainingData, read_data
from autoif.training.dpo import make_dpo_trainer
from autoif.training.failures import plain_errors
from autoif.training.folder import check_same, open_output
from autoif.training.grpo import check_prompts, describe_cut, make_grpo_trainer, make_reward
from autoif.training.identity import ModelIdentity, identify_model
from autoif.training.lengths import Lengths, fit_prompts, fit_rows
from autoif.training.lora import make_lora_config, save_merged
from autoif.training.metrics import MetricsFile, cut_metrics, read_metrics, summarise
from autoif.training.models import check_model, load_model, load_tokenizer, read_context, read_dtype
from autoif.training.parts import Parts
from autoif.training.schedule import (
    count_steps,
    describe_equal_groups,
    describe_few_steps,
    describe_nothing_learnt,
    fit_warmup,
)
from autoif.training.settings import TEMPLATE, Settings, make_arguments, renamed_settings
from autoif.training.sft import make_sft_trainer
from autoif.training.turns import TurnEnd, adopt_turn_end, name_turn_end

METRICS = "metrics.jsonl"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to train, on what, into which folder."""

    kind: Kind
    data: Path
    """A file of rows or a run folder."""
    model: str
    """A model folder, or a name on the hub."""
    output: Path
    settings: Settings
    resume: bool = False
    """Go on from the last whole checkpoint; where there is none, begin."""
    callbacks: Sequence[Any] = field(default=())
    """More callbacks of transformers' Trainer."""
    eval_data: Path | None = None
    """What to evaluate on, as `data`; `settings` were resolved with `evaluates` then."""

    @property
    def revision(self) -> str | None:
        """The revision of a name on the hub, if one is set."""
        options = self.settings.arguments.get("model_init_kwargs")
        return options.get("revision") if isinstance(options, dict) else None


def train(request: Request, say: Say = print) -> dict[str, Any]:
    """Train, and return the record that training.json then holds.

    Raises:
        ConfigError: data or settings; see `data`, `settings` and `lengths`.
        ModelError: the model or its tokenizer can't be used, or the device has too little memory.
        SandboxError: GRPO, where model code can't be contained.
        StoreError: the folder holds something else, or the disk is full; whole checkpoints stay.
    """
    check_model(request.model)
    data = read_data(request.data, request.kind)
    eval_data = read_data(request.eval_data, request.kind) if request.eval_data else None
    if not PartialState().is_main_process:
        say = _ignore
    before = open_output(request.output, resume=request.resume)
    model = identify_model(request.model, request.revision, before and before["model"])
    identity = {
        "kind": request.kind, "model": model.content, "data": data.sha256,
        "eval_data": eval_data and eval_data.sha256, **request.settings.identity(),
    }  # fmt: skip
    if before:
        check_same(request.output, before, identity, model)
        if before["status"] == "complete":
            say(f"{request.output} is complete already")
            return before
    with ExitStack() as stack:
        reward = stack.enter_context(make_reward(request.settings.reward)) if request.settings.reward else None
        parts, lengths = _prepare(request, data, eval_data, say)
        stack.enter_context(plain_errors(request.output, request.settings))
        stack.enter_context(renamed_settings())
        filters = request.settings.reward is not None and request.settings.reward.filter_zero_std
        trainer = _make_trainer(request.kind, parts, reward, filters=filters)
        record = {**_describe(request, model, data, eval_data), "lengths": lengths.record(), "identity": identity}
        return _run(request, trainer, parts.turn_end, record, before, say)


def _ignore(line: str) -> None:
    """Say nothing: the first process says it."""


def _prepare(request: Request, data: TrainingData, eval_data: TrainingData | None, say: Say) -> tuple[Parts, Lengths]:
    """Return what the trainer is built from, and the lengths of the rows to train on."""
    arguments = make_arguments(request.kind, request.settings, request.output)
    tokenizer = load_tokenizer(request.model, request.revision)
    context = read_context(request.model, request.revision)
    kwargs = request.settings.template_kwargs

    def fit(rows: Sequence[Row]) -> tuple[list[Row], Lengths]:
        if request.kind == "grpo":
            return fit_prompts(rows, tokenizer, arguments.max_completion_length, context, kwargs)
        kept, lengths = fit_rows(rows, tokenizer, arguments.max_length, context, kwargs)
        return [{**row, TEMPLATE: kwargs} for row in kept] if kwargs else kept, lengths

    rows, lengths = fit(data.rows)
    say(lengths.describe())
    end = adopt_turn_end(tokenizer, request.model, rows[0]["prompt"], kwargs)
    if request.kind == "grpo" and (left := check_prompts(len(rows), arguments)):
        say(f"{left} of the {len(rows)} prompts are left out of each epoch, others each time: they make no whole step")
    _say_schedule(request, len(rows), arguments, say)
    eval_rows = None
    if eval_data is not None:
        eval_rows, eval_lengths = fit(eval_data.rows)
        say(f"to evaluate on: {eval_lengths.describe()}")
    return Parts(
        load=lambda: load_model(request.model, arguments), tokenizer=tokenizer, turn_end=end, rows=rows,
        eval_rows=eval_rows, arguments=arguments, lora=make_lora_config(request.settings.lora),
        callbacks=[MetricsFile(request.output / METRICS), *request.callbacks],
    ), lengths  # fmt: skip


def _say_schedule(request: Request, rows: int, arguments: Any, say: Say) -> None:
    """Say what a training is too short for, and shorten its warm-up."""
    steps = count_steps(request.kind, rows, arguments)
    if steps is None:
        return
    for line in (
        fit_warmup(arguments, steps),
        describe_few_steps(steps, arguments, request.settings.global_batch_size),
    ):
        if line:
            say(line)


def _make_trainer(kind: Kind, parts: Parts, reward: Any, *, filters: bool) -> Any:
    try:
        if kind == "grpo":
            trainer = make_grpo_trainer(parts, reward, filter_zero_std=filters)
        else:
            trainer = (make_sft_trainer if kind == "sft" else make_dpo_trainer)(parts)
    except (ValueError, NotImplementedError, ImportError) as error:  # settings that contradict each other
        raise ConfigError(f"TRL refuses the settings: {' '.join(str(error).split())}") from None
    trainer.remove_callback(PrinterCallback)  # metrics.jsonl has it
    return trainer


def _run(
    request: Request, trainer: Any, end: TurnEnd, record: dict[str, Any], before: dict[str, Any] | None, say: Say
) -> dict[str, Any]:
    """Train to the end, save the model, and write record and card; only the first process writes."""
    folder, first, began = request.output, trainer.is_world_process_zero(), time.monotonic()
    spent = before["seconds"] if before else 0.0
    PartialState().wait_for_everyone()  # each process has looked at the folder before the first one writes
    checkpoint = _find_checkpoint(folder, first, say)
    if first:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, {**record, "status": "running", "seconds": spent})
        cut_metrics(folder / METRICS, step_of(checkpoint) if checkpoint else 0)
    PartialState().wait_for_everyone()
    trainer.args.eval_on_start &= checkpoint is None  # the metrics have it already
    if line := end.describe(trainer.accelerator.unwrap_model(trainer.model)):
        say(line)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        _save(request, trainer, end, first)
    except BaseException:
        if first:
            with suppress(OSError):  # the disk may be what went wrong
                spent += time.monotonic() - began
                write_record(folder, {**record, "status": "interrupted", "seconds": round(spent, 1)})
        raise
    record = {
        **record,
        "status": "complete",
        "steps": trainer.state.global_step,
        "seconds": round(spent + time.monotonic() - began, 1),
        "metrics": summarise(read_metrics(folder / METRICS)),
    }
    rows = read_metrics(folder / METRICS)
    for line in (
        describe_nothing_learnt(rows),
        describe_equal_groups(rows),
        describe_cut(rows, trainer.args) if request.kind == "grpo" else None,
    ):
        if line:
            say(line)
    if first:
        write_card(folder, record)
        write_record(folder, record)
    return record


def _find_checkpoint(folder: Path, first: bool, say: Say) -> Path | None:
    """Return the last whole checkpoint; what interrupted saves left is removed."""
    if first:
        for name in remove_broken(folder):
            say(f"{name} was not whole and is removed")
    found = whole_checkpoints(folder)
    if found:
        say(f"going on from {found[-1].name}")
    return found[-1] if found else None


def _save(request: Request, trainer: Any, end: TurnEnd, first: bool) -> None:
    if request.settings.lora is None:
        model = trainer.accelerator.unwrap_model(trainer.model)
        name_turn_end(model, end)
        dtype = read_dtype(request.model, request.revision)
        if dtype is not None and not (
            trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
        ):  # they shard the weights
            model.to(dtype)
        trainer.save_model(str(request.output))
        return
    adapter = request.output / "adapter"
    trainer.save_model(str(adapter))
    if first:
        save_merged(request.model, request.revision, adapter, request.output, trainer.processing_class, end)


def _describe(
    request: Request, model: ModelIdentity, data: TrainingData, eval_data: TrainingData | None
) -> dict[str, Any]:
    settings = {**request.settings.arguments, "global_batch_size": request.settings.global_batch_size}
    if request.settings.template_kwargs:
        settings[TEMPLATE] = request.settings.template_kwargs
    return {
        "kind": request.kind,
        "model": {**model.record(), "training": describe_ancestry(request.model)},
        "data": {**_describe_data(data), "run": data.run},
        "eval_data": eval_data and _describe_data(eval_data),
        "settings": settings,
        "lora": request.settings.lora,
        "reward": request.settings.reward and request.settings.reward.model_dump(mode="json"),
        "versions": versions(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "processes": PartialState().num_processes,
    }


def _describe_data(data: TrainingData) -> dict[str, Any]:
    return {"file": str(data.path), "sha256": data.sha256, "rows": len(data.rows), "levels": data.levels}
