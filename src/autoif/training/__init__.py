"""Training (§3.4, App. B): thin files over TRL's trainers; what is here is the data, the settings and the records.

    data.py         rows of sft.jsonl, preferences.jsonl and rewards.jsonl, read strictly
    settings.py     the paper's hyperparameters (defaults.py), and any setting of TRL
    models.py       the tokenizer with its chat template, the model, its context
    identity.py     which model it is, by content
    lengths.py      what is too long: truncated, dropped, or an error
    sft.py dpo.py grpo.py   the trainers of TRL, built of parts.py; GRPO's reward
    checkpoints.py  which of them are whole, and what a full disk leaves
    failures.py     out of memory, no space: what to do
    metrics.py      metrics.jsonl
    card.py         training.json and README.md
    folder.py       whose folder it is, and whether it may be gone on with
    train.py        one training, from a request to a trained folder
    online_dpo.py   rounds of them, with what it samples, pairs, launches and serves beside it

Only `data`, `defaults` and `settings` can be imported without the extra `train`.
"""
