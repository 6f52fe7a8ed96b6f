#!/usr/bin/env bash
# The paper from end to end: classifier, inverse mapping, recovery, tables, with the generator and the data set that are
# in place.  usage: recipes/published.sh [datasets]   WIDTH, EPOCHS and CLIPS change the networks' size, how long they are
# trained and how many clips are judged; the paper's are 64, 60 and 501.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
datasets="${1:-datasets/}"
width="${WIDTH:-64}"
epochs="${EPOCHS:-60}"
clips="${CLIPS:-501}"
folder=waves/published
shared=(--classifier_checkpoint=$folder/classifier/ --datasets="$datasets")

part() {  # runs a command and says how long it took
    local begin=$SECONDS name=$1
    shift
    "$@"
    echo "== $name took $((SECONDS - begin)) s"
}

part "the classifier" "$python" train_sc09_classifier.py --recipe=published --width="$width" --epochs="$epochs" \
    --logs=logs/published/classifier/ "${shared[@]}"
part "the inverse mapping" "$python" train.py --recipe=published --width="$width" --epochs="$epochs" \
    --logs=logs/published/inverse_mapping/ --waves=$folder/training/ --inverse_mapping_checkpoint=$folder/inverse_mapping/ \
    "${shared[@]}"
for kind in False True; do
    for method in "True False" "False True" "True True"; do
        read -r predict gradient <<<"$method"
        part "synth=$kind, inverse_mapping=$predict, gradient=$gradient" "$python" calculate_metrics.py \
            --recipe=published --synth=$kind --inverse_mapping="$predict" --gradient="$gradient" --num_clips="$clips" \
            --inverse_mapping_checkpoint=$folder/inverse_mapping/ --output="$folder/metrics_${kind}_${predict}_${gradient}/" \
            "${shared[@]}"
    done
done
part "the table" "$python" benchmarks/published_table.py --folder=$folder/ --output=Audio_Examples/pictures/published.md
