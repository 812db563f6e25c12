"""Training (§3.4, App. B): a thin layer over TRL's trainers, with the data, the settings and the records.

    data.py         rows of sft.jsonl, preferences.jsonl and rewards.jsonl, read strictly
    rendering.py    rows under the model's chat template: what is too long, lost or added
    settings.py     the paper's hyperparameters, and any setting of TRL; setting_checks.py refuses what can't work
    trainers.py     the trainers of TRL, each built from the same parts; GRPO's reward
    trl_private.py  code that relies on undocumented parts of TRL
    identity.py     which model a training starts from, by content
    folder.py       whether a training may resume here, and what an interrupted save leaves
    card.py         training.json and README.md; reads metrics.jsonl
    metrics.py      writes metrics.jsonl, and tells what wasn't learnt
    train.py        one training, from a request to a trained folder
    online_pairs.py one round of online data: its settings, verdicts and pairs
    online_dpo.py   the rounds of online DPO
    programs.py     the servers and launchers that the rounds start

Policies are loaded and sampled by `autoif.sampling`. `card`, `data` and `settings` can be imported without the extra
`train`.
"""
