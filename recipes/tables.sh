#!/usr/bin/env bash
# Every table, picture, example and model card, from the weights that are in place: about an hour on two cores.
# usage: recipes/tables.sh [datasets]
# Stopped and started again, it goes on: long tables keep their finished rows in waves/ and logs/.
# OTHER is the folder of another generator, whose samples have to be told from ours; without it that column is left out.
# OWN is what the table of own clips takes; "--num_clips=20 --num_others=100" is a table of hours.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
datasets="${1:-datasets/}"
own="${OWN:---methods=hybrid --num_clips=2 --num_others=10}"

source recipes/part.sh

part "classifier" "$python" benchmarks/shipped_classifier.py --datasets="$datasets" --card=classifier_checkpoint/README.md
part "judge" "$python" benchmarks/shipped_classifier.py --network=judge --datasets="$datasets" \
    --card=judge_checkpoint/README.md
part "generator" "$python" benchmarks/generator_quality.py --datasets="$datasets" --card=checkpoint/README.md \
    --picture=Audio_Examples/pictures/generator.png
part "methods" "$python" calculate_metrics.py --table --num_clips=50 --datasets="$datasets" \
    --cards=inverse_mapping_checkpoint/README.md,README.md
cp waves/metrics/metrics.md waves/metrics/metrics.png Audio_Examples/pictures/
part "own clips" "$python" benchmarks/own_clips.py $own \
    --datasets="$datasets" --other="${OTHER:-}" --card=checkpoint/README.md
part "generators of other builds" "$python" benchmarks/generators.py --widths=16,32 --card=checkpoint/README.md
part "codes" "$python" benchmarks/codes.py --num_clips=10
part "examples" "$python" calculate_metrics.py --examples=Audio_Examples/real/ --num_clips=10 --output=Audio_Examples/
part "speed" "$python" benchmarks/speed.py --card=benchmarks/README.md
echo "== all: $SECONDS s"
