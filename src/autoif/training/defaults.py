"""The settings that a training begins with: the paper's (App. B) where it has any; docs/training.md names sources."""

from typing import Any

from autoif.training.data import Kind

_ALL: dict[str, Any] = {
    "bf16": True,  # App. B
    "per_device_train_batch_size": 1,
    "seed": 0,
    "logging_steps": 1,
    "save_steps": 50,
    "save_total_limit": 2,
    "report_to": "none",
}

DEFAULTS: dict[Kind, dict[str, Any]] = {
    "sft": {  # App. B, supervised fine-tuning
        **_ALL,
        "learning_rate": 7e-6,
        "lr_scheduler_type": "linear",
        "warmup_steps": 20,
        "num_train_epochs": 3,
        "global_batch_size": 128,  # 512 for 70B
        "weight_decay": 0.1,
        "max_length": 8192,
    },
    "dpo": {  # App. B, offline DPO
        **_ALL,
        "loss_type": ["sigmoid"],
        "beta": 0.3,
        "learning_rate": 5e-7,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,  # below 1 it is a share of all steps: the paper's warm-up ratio
        "num_train_epochs": 2,
        "global_batch_size": 64,
        "max_length": 4096,
    },
    "grpo": {  # the paper has no GRPO: TRL's, or as docs/training.md says
        **_ALL,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-6,
        "lr_scheduler_type": "linear",
        "num_train_epochs": 1,
        "global_batch_size": 64,
        "num_generations": 8,
        "temperature": 1.0,
        "max_completion_length": 1024,
        "beta": 0.04,
        "mask_truncated_completions": True,
        "num_completions_to_print": 0,  # they go into files: a terminal would drown
    },
}

LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
"""Not of the paper, which trains all weights; the usual choice for all linear layers."""

LAYOUT = frozenset({
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
    "gradient_checkpointing", "logging_steps", "save_steps", "save_strategy", "save_total_limit", "report_to",
    "deepspeed", "dataset_num_proc", "dataloader_num_workers", "disable_tqdm", "log_completions",
    "num_completions_to_print",
})  # fmt: skip
"""Settings of how the work is laid out: a training may be gone on with under others."""

RESERVED = {
    "output_dir": "--output is the folder",
    "resume_from_checkpoint": "use --resume",
    "save_only_model": "a checkpoint without its optimiser can't be resumed from",
    "assistant_only_loss": "the loss is on the assistant turn in any case",
    "use_cpu": "hide the GPU with CUDA_VISIBLE_DEVICES= in its place",
    "dataloader_pin_memory": "it is on where there is a GPU",
    "completion_only_loss": "the loss is on the assistant turn in any case",
    "dataset_kwargs": "the rows are prepared here",
    "remove_unused_columns": "the reward needs the functions, and nothing else is handed over",
    "push_to_hub": "push the finished folder instead",
    "hub_token": "a secret has no place in a card: log in to the hub beforehand",
}
