#!/usr/bin/env bash
# The inverse mapping that comes with the project: recordings, generator, classifier → inverse_mapping_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train.py --spectrogram --augmented --refinements=4 --perceptual_weight=2 \
    --batch_size=20 --real_batch_size=6 --epochs=20 --steps=250 "$@"
