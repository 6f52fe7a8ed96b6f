#!/usr/bin/env bash
# The paper from end to end: classifier, inverse mapping, recovery, tables, with the generator and the data set that are
# in place, and our own networks on the same clips.  usage: recipes/published.sh [datasets]
# WIDTH, EPOCHS and CLIPS change the networks' size, how long they are trained and how many clips are judged; the
# paper's are 64, unknown (60 here) and 501. Stopped and started again, it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
datasets="${1:-datasets/}"
width="${WIDTH:-64}"
epochs="${EPOCHS:-60}"
clips="${CLIPS:-501}"
folder=waves/published
classifier=$folder/classifier/
mapping=$folder/inverse_mapping/

source recipes/part.sh

part "classifier" "$python" train_sc09_classifier.py --recipe=published --width="$width" --epochs="$epochs" \
    --datasets="$datasets" --classifier_checkpoint=$classifier --logs=logs/published/classifier/
part "inverse mapping" "$python" train.py --recipe=published --width="$width" --epochs="$epochs" --datasets="$datasets" \
    --classifier_checkpoint=$classifier --inverse_mapping_checkpoint=$mapping \
    --logs=logs/published/inverse_mapping/ --waves=$folder/training/
part "the paper's table" "$python" calculate_metrics.py --table --recipe=published --num_clips="$clips" \
    --datasets="$datasets" --classifier_checkpoint=$classifier --inverse_mapping_checkpoint=$mapping \
    --resnet_checkpoint= --output=$folder/published/
part "our table" "$python" calculate_metrics.py --table --split=valid --num_clips="$clips" --datasets="$datasets" \
    --output=$folder/ours/
"$python" benchmarks/side_by_side.py --tables=published=$folder/published/,ours=$folder/ours/ \
    --title="The paper's networks and solver, trained at \`WIDTH=$width EPOCHS=$epochs\` by \`make published\`, beside ours, \
with one generator and the same $clips clips of each kind. Each has a classifier of its own, which its perceptual loss \
and the columns that name it go by; the judge is the same." \
    --output=Audio_Examples/pictures/published.md
