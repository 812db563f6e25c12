#!/bin/sh
# The whole method on real weights and two CPU cores: SmolLM2-135M-Instruct learns from data that the embedded
# Qwen2.5-Coder-1.5B made, by SFT, offline DPO, two rounds of online DPO and GRPO; each is measured on instructions and
# queries that it never saw. docs/small_world.md says more.
#
#   pip install 'autoif[train,eval]'
#   sh examples/small_world.sh [FOLDER]
#
# Every line can be stopped and goes on where it was when the script is started again. The answers of the model that made
# the data are recorded beside this script, so that it is not needed here.
set -eu
keep=glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-$keep} # memory is kept for the next tensor: docs/training.md
cd "$(dirname "$0")/.."
out=${1:-runs/small_world}
world=examples/small_world
say() { printf '\n== %s\n' "$*"; }

say "data (§3.2, §3.3)"
autoif run $world/data.toml --until instructions -o "$out/instructions" --recording $world/answers.jsonl.xz
autoif split "$out/instructions" --held-out 0.25 -o "$out/split"
autoif run $world/data.toml --instructions "$out/split/train.jsonl" -o "$out/data" --recording $world/answers.jsonl.xz
autoif prompts --instructions "$out/split/held_out.jsonl" --queries $world/held_out_queries.txt --min-chars 10 \
    --per-instruction 4 --unseen-by "$out/data" -o "$out/held_out.jsonl"
python $world/gold.py prompts "$out/held_out.jsonl" -o "$out/held_out_by_gold.jsonl"

train() { # METHOD MODEL: trains OUT/METHOD from OUT/MODEL
    say "train $1"
    autoif train "$1" --data "$out/data" --model "$out/$2" --output "$out/$1" --config "$world/$1.toml" --resume
}

say "student"
[ -d "$out/base" ] || autoif models fetch smollm2-135m --weights "$out/base"
train sft base
train dpo sft
train online-dpo sft
train grpo sft

for model in base sft dpo online-dpo grpo; do
    say "measure $model"
    autoif eval pass-rate "$out/$model" --data "$out/held_out.jsonl" --unseen-by "$out/data" \
        --samples 4 --max-tokens 160 --batch-size 64 --dtype float32 -o "$out/scores/$model"
    autoif eval pass-rate --data "$out/held_out_by_gold.jsonl" --responses "$out/scores/$model/samples.jsonl" \
        --unseen-by "$out/data" -o "$out/scores_by_gold/$model"
done

say "held-out pass rates, by functions and by checkers written by hand"
cd "$out/scores"
autoif compare base sft dpo online-dpo grpo -o ../scores.md --plot ../scores.svg
autoif compare sft dpo online-dpo grpo -o ../scores_from_sft.md
cd ../scores_by_gold
autoif compare base sft dpo online-dpo grpo -o ../scores_by_gold.md
cd ..
autoif plot sft dpo online-dpo grpo -o curves.svg
