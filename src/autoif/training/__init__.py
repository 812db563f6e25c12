"""Training (§3.4, App. B): thin files over TRL's trainers; what is here is the data, the settings and the records.

    data.py         rows of sft.jsonl and preferences.jsonl, read strictly
    settings.py     the paper's hyperparameters, and any setting of TRL
    models.py       the tokenizer with its chat template, the model, its context
    lengths.py      what is too long: truncated, dropped, or an error
    sft.py dpo.py   the two trainers of TRL, built
    checkpoints.py  which of them are whole, and what a full disk leaves
    metrics.py      metrics.jsonl
    card.py         training.json and README.md
    train.py        one training, from a request to a trained folder

Only `data` and `settings` can be imported without the extra `train`.
"""
