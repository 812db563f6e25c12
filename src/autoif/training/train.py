"""§3.4, one training: from a request to a trained folder.

OUTPUT/training.json  README.md  metrics.jsonl     what was trained, from what, and how it went
OUTPUT/config.json  model.safetensors  tokenizer…  the model, whole; with LoRA the adapter is in adapter/ as well
OUTPUT/checkpoint-STEP/                            where `--resume` continues
"""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset, load_from_disk

from autoif.errors import AutoIFError, ConfigError, ModelError
from autoif.messages import Say
from autoif.sampling import policy
from autoif.sampling.precision import describe_slow
from autoif.sampling.turn_end import TurnEnd, adopt_turn_end, name_turn_end
from autoif.training import metrics, trainers
from autoif.training.card import METRICS, describe_ancestry, read_metrics, versions, write_card, write_record
from autoif.training.data import Kind, Row, TrainingData, read_data
from autoif.training.folder import (
    check_same,
    clear_output,
    find_lacking,
    hold_output,
    is_finished,
    list_saved,
    open_output,
    plain_errors,
    remove_broken,
    step_of,
    whole_checkpoints,
)
from autoif.training.identity import ModelIdentity, identify_model
from autoif.training.rendering import Lengths, Template, describe_date, describe_marks, fit_prompts, fit_rows
from autoif.training.settings import TEMPLATE, TrainingSettings, make_arguments, renamed_settings

_WAIT_S = 1800
"""Seconds for the first process to read and render the rows: TRL's default; torch's is 600 on GPUs."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train, on which data, into which folder."""

    kind: Kind
    data: Path
    """A file of rows or a run folder."""
    model: str
    """A model folder, or a name on the hub."""
    output: Path
    settings: TrainingSettings
    resume: bool = False
    """Resume from the last whole checkpoint; start anew if there is none."""
    callbacks: Sequence[Any] = field(default=())
    """More callbacks of transformers' Trainer."""
    eval_data: Path | None = None
    """Data to evaluate on, in the form of `data`; then `settings` must be resolved with `evaluates`."""

    @property
    def revision(self) -> str | None:
        """The revision of a name on the hub, if one is set."""
        options = self.settings.arguments.get("model_init_kwargs")
        return options.get("revision") if isinstance(options, dict) else None


def train(request: TrainingRequest, say: Say = print) -> dict[str, Any]:
    """Train, and return the record that training.json then holds.

    Raises ConfigError: data or settings are wrong. StoreError: the folder holds something else, or the disk is full;
    whole checkpoints stay.
    """
    policy.check_model(request.model)
    if not _join_processes(request.settings).is_main_process:
        say = lambda line: None  # noqa: E731  # only the first process reports
    with ExitStack() as stack:
        if PartialState().is_main_process:
            stack.enter_context(hold_output(request.output))
        return _train(request, stack, say)


def _train(request: TrainingRequest, stack: ExitStack, say: Say) -> dict[str, Any]:
    """Train into a folder that is held. Whatever stays open until the end goes on the stack."""
    before = open_output(request.output, resume=request.resume)
    read: list[TrainingData] | None = None
    if PartialState().is_local_main_process:  # it reads and renders the rows for all processes of this machine
        read = [read_data(source, request.kind) for source in (request.data, request.eval_data) if source]
    records = _share(read and [data.record() for data in read])
    facts: dict[str, Any] = dict(zip(("data", "eval_data"), [*records, None], strict=False))
    model = identify_model(request.model, request.revision, before and before["model"])
    identity = {
        "kind": request.kind, "model": model.content, "data": facts["data"]["sha256"],
        "eval_data": facts["eval_data"] and facts["eval_data"]["sha256"], **request.settings.identity(),
    }  # fmt: skip
    if before:
        check_same(request.output, before, identity, model)
        if is_finished(request.output, before, say):
            return before
    reward: Any = (
        stack.enter_context(trainers.make_reward(request.settings.reward)) if request.settings.reward else None
    )
    parts, lengths = _prepare(request, read, stack, say)
    stack.enter_context(plain_errors(request.output, request.settings))
    stack.enter_context(renamed_settings())
    filters = request.settings.reward is not None and request.settings.reward.filter_zero_std
    trainer = trainers.make_trainer(request.kind, parts, reward, filter_zero_std=filters)
    if trainer.is_deepspeed_enabled and request.settings.save_dtype == "float32":
        raise ConfigError("save_dtype=float32 is set, and DeepSpeed saves 16 bits: use FSDP, or leave it out")
    record = {
        **make_record(request.kind, model, request.settings),
        **facts,
        "lengths": lengths.record(),
        "identity": identity,
    }
    return _run(request, trainer, parts.turn_end, record, before, say)


def _join_processes(settings: TrainingSettings) -> PartialState:
    """Return accelerate's state of all processes. The first call decides how long processes wait for each other.

    Without a GPU, accelerate finds the other processes only if it is told to use the CPU.
    """
    wait = timedelta(seconds=settings.arguments.get("ddp_timeout", _WAIT_S))
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=wait)


def _share(result: Any) -> Any:
    """Return the result of the first process of this machine; the others pass None."""
    state = PartialState()
    return gather_object([result])[state.process_index - state.local_process_index]


def _prepare(
    request: TrainingRequest, read: Sequence[TrainingData] | None, stack: ExitStack, say: Say
) -> tuple[trainers.Parts, Lengths]:
    """Return the parts of the trainer, and the lengths of the rows to train on. `read` holds the data to train and
    evaluate on; it is None in processes that leave reading to another.
    """
    arguments = make_arguments(request.kind, request.settings, request.output)
    tokenizer = policy.load_tokenizer(request.model, request.revision)
    context, kwargs = policy.read_context(request.model, request.revision), request.settings.template_kwargs
    template = Template(tokenizer, kwargs, policy.read_vocabulary(request.model, request.revision))

    def fit(data: TrainingData) -> tuple[Dataset, Lengths]:
        try:
            if request.kind == "grpo":
                kept, lengths = fit_prompts(data.rows, template, arguments.max_completion_length, context)
            else:
                kept, lengths = fit_rows(data.rows, template, arguments.max_length, context)
        except AutoIFError as error:
            raise type(error)(f"{data.path}: {error}") from None
        kept = [{**row, TEMPLATE: kwargs} for row in kept] if kwargs and request.kind != "grpo" else kept
        return _make_dataset(kept, stack), lengths

    fitted = _share(read and [fit(data) for data in read])
    rows, lengths = fitted[0]
    say(lengths.describe())
    for line in (
        describe_marks(rows[0], template) if request.kind != "grpo" else None,
        describe_date(rows[0], template),
    ):
        if line:
            say(line)
    end = adopt_turn_end(tokenizer, request.model, rows[0]["prompt"], kwargs)
    if request.kind == "grpo" and (left := trainers.check_prompts(len(rows), arguments)):
        say(f"{left} of the {len(rows)} prompts are left out of each epoch, others each time: they make no whole step")
    if (steps := metrics.count_steps(request.kind, len(rows), arguments)) is not None:
        for line in metrics.fit_schedule(arguments, steps, request.settings.global_batch_size):
            say(line)
    if slow := describe_slow("bfloat16" if arguments.bf16 else "", "stop here, and set bf16=false"):
        say(slow)
    eval_rows = None
    if request.eval_data:
        eval_rows, eval_lengths = fitted[1]
        say(f"to evaluate on: {eval_lengths.describe()}")
        seen = {json.dumps(prompt) for prompt in rows["prompt"]}
        if shared := sum(json.dumps(prompt) in seen for prompt in eval_rows["prompt"]):
            say(f"{shared} of the prompts to evaluate on are trained on, too: they say little about others")
    return trainers.Parts(
        load=lambda: trainers.load_model(request.model, arguments), tokenizer=tokenizer, turn_end=end, rows=rows,
        eval_rows=eval_rows, arguments=arguments, lora=trainers.make_lora_config(request.settings.lora),
        callbacks=[metrics.MetricsFile(request.output / METRICS), *request.callbacks],
    ), lengths  # fmt: skip


def _make_dataset(rows: Sequence[Row], stack: ExitStack) -> Dataset:
    """Return the rows as TRL takes them. Several processes share them, and what TRL makes of them, through a file."""
    made = Dataset.from_list(list(rows))
    if PartialState().num_processes == 1:
        return made
    folder = stack.enter_context(TemporaryDirectory(prefix="autoif-rows-"))
    made.save_to_disk(folder)
    return load_from_disk(folder)


def _run(
    request: TrainingRequest,
    trainer: Any,
    end: TurnEnd,
    record: dict[str, Any],
    before: dict[str, Any] | None,
    say: Say,
) -> dict[str, Any]:
    """Train to the end, save the model, and write record and card; only the first process writes."""
    folder, first, began = request.output, trainer.is_world_process_zero(), time.monotonic()
    spent = before["seconds"] if before else 0.0
    PartialState().wait_for_everyone()  # the first process must not write before all have looked at the folder
    checkpoint = _find_checkpoint(folder, first, say)
    if first:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, {**record, "status": "running", "seconds": spent})
        metrics.cut_metrics(folder, step_of(checkpoint) if checkpoint else 0)
    PartialState().wait_for_everyone()
    trainer.args.eval_on_start &= checkpoint is None  # when resuming, the metrics have it already
    model = trainer.accelerator.unwrap_model(trainer.model)
    loaded = model if request.settings.lora is None else model.get_base_model()
    for line in (
        end.describe(model),
        policy.describe_left_out(loaded, request.model, request.revision),
        trainers.describe_adapter(model) if request.settings.lora is not None else None,
    ):
        if line:
            say(line)
    beginning = trainers.Beginning(checkpoint, lambda: _refuse_diverged(trainer))
    trainer.add_callback(beginning)
    try:
        with beginning.plain_errors():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.state.global_step == 0:
            raise ConfigError(
                "the settings make no optimiser step: raise num_train_epochs, or lower global_batch_size (with "
                "dataloader_drop_last the rows must fill a batch)"
            )
        _refuse_diverged(trainer)
        _save(request, trainer, end, first)
    except BaseException as error:
        if first and before is None and beginning.is_open and isinstance(error, ConfigError):
            clear_output(folder)
        elif first:
            with suppress(OSError):  # the disk may be what went wrong
                spent += time.monotonic() - began
                write_record(folder, {**record, "status": "interrupted", "seconds": round(spent, 1)})
        raise
    record = {
        **record,
        "status": "complete",
        "steps": trainer.state.global_step,
        "seconds": round(spent + time.monotonic() - began, 1),
        "metrics": metrics.summarise(rows := read_metrics(folder)),
        "saved": list_saved(folder),
    }
    lost = _describe_lost(request) if first and not metrics.learnt_nothing(rows) else None
    for line in (*metrics.describe_learning(rows, trainer.args), *([lost] if lost else [])):
        say(line)
    if first:
        write_card(folder, record)
        write_record(folder, record)
    return record


def _refuse_diverged(trainer: Any) -> None:
    """Refuse to save weights that aren't finite. The log doesn't show it: transformers leaves out such losses."""
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:  # the weights are divided among processes
        return
    weights = trainer.accelerator.unwrap_model(trainer.model).named_parameters()
    if any(each.requires_grad and not bool(torch.isfinite(each).all()) for _, each in weights):
        raise ModelError(
            f"the training has diverged: after {trainer.state.global_step} steps weights are infinite or no numbers; "
            f"lower learning_rate (now {trainer.args.learning_rate:g}) or max_grad_norm, or train with bf16 instead of "
            "fp16, into another --output"
        )


def _find_checkpoint(folder: Path, first: bool, say: Say) -> Path | None:
    """Return the last whole checkpoint, or None; remove what interrupted saves left."""
    if first:
        for name in remove_broken(folder):
            say(f"{name} was not whole and is removed")
    found = whole_checkpoints(folder)
    if found:
        lacking = find_lacking(found[-1], PartialState().num_processes)
        say(f"going on from {found[-1].name}")
        if lacking:
            say(
                f"{found[-1].name} lacks {lacking}: random numbers (of dropout, of sampled completions) begin anew, so "
                "the weights may not be those of a training without a stop"
            )
    return found[-1] if found else None


def _save(request: TrainingRequest, trainer: Any, end: TurnEnd, first: bool) -> None:
    if request.settings.lora is not None:
        trainer.save_model(str(request.output / "adapter"))
        if first:
            _save_merged(request, trainer.processing_class, end)
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    name_turn_end(policy.leave_out_routing(model), end)
    dtype = _read_saved_dtype(request)
    if dtype is not None and not (trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled):  # they shard the weights
        model.to(dtype)
    trainer.save_model(str(request.output))
    if dtype is not None and trainer.is_fsdp_enabled and first:  # saved whole, in the 32 bits of the training
        policy.convert_weights(request.output, dtype)


def _read_saved_dtype(request: TrainingRequest) -> Any:
    """Return the precision of the saved weights, a torch.dtype; None keeps that of the training."""
    asked = request.settings.save_dtype
    return policy.read_dtype(request.model, request.revision) if asked == "auto" else getattr(torch, asked)


def _describe_lost(request: TrainingRequest) -> str | None:
    """Return a warning if the precision of the saved weights lost most of what was learnt; else None."""
    dtype = _read_saved_dtype(request)
    if request.settings.lora is not None or dtype not in {torch.bfloat16, torch.float16}:
        return None
    same = policy.measure_common(policy.find_folder(request.model, request.revision), request.output)
    if same <= 0.5:
        return None
    return (
        f"{same:.0%} of the weights are saved as they were before the training: their change is too small for 16 bits; "
        "save_dtype=float32 keeps it, at twice the size, and more steps or a higher learning_rate make it larger"
    )


def _save_merged(request: TrainingRequest, tokenizer: Any, end: TurnEnd) -> None:
    """Save the base model with the adapter merged into it, in the precision of `save_dtype`, as an ordinary model."""
    from peft import PeftModel

    at = {"revision": request.revision} if request.revision else {}
    base = policy.load_weights(request.model, dtype=request.settings.save_dtype, **at)
    name_turn_end(base, end)
    merged = PeftModel.from_pretrained(base, str(request.output / "adapter")).merge_and_unload()
    merged.save_pretrained(request.output)
    tokenizer.save_pretrained(request.output)


def make_record(kind: str, model: ModelIdentity, settings: TrainingSettings) -> dict[str, Any]:
    """Return what is known for the record before a training begins, except its data."""
    return {
        "kind": kind,
        "model": {**model.record(), "training": describe_ancestry(model.name)},
        "settings": settings.record(),
        "lora": settings.lora,
        "reward": settings.reward and settings.reward.model_dump(mode="json"),
        "versions": versions(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "processes": PartialState().num_processes,
    }
