#!/usr/bin/env bash
# The classifier made ready for other voices, microphones and rooms: goes on from the weights in classifier_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_sc09_classifier.py --warm_start --epochs=14 --speed=0.3 --pace=0.35 --room=0.6 --band \
    --equalizer=6 --noise=5 --batch_size=48 "$@"
