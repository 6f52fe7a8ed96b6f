#!/usr/bin/env bash
# Every table, picture, example and model card, from the weights that are in place.  usage: recipes/tables.sh [datasets]
# OTHER is the folder of another generator, whose samples have to be told from ours; without it that column is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
datasets="${1:-datasets/}"
"$python" benchmarks/shipped_classifier.py --datasets="$datasets" --card=classifier_checkpoint/README.md
"$python" benchmarks/shipped_classifier.py --network=judge --datasets="$datasets" --card=judge_checkpoint/README.md
"$python" benchmarks/generator_quality.py --datasets="$datasets" --card=checkpoint/README.md \
    --picture=Audio_Examples/pictures/generator.png
"$python" calculate_metrics.py --table --datasets="$datasets" --cards=inverse_mapping_checkpoint/README.md,README.md
"$python" benchmarks/own_clips.py --datasets="$datasets" --other="${OTHER:-}" --card=checkpoint/README.md
cp waves/metrics/metrics.md waves/metrics/metrics.png Audio_Examples/pictures/
"$python" audio_examples.py
