#!/usr/bin/env bash
# A classifier, from random weights: FSDD and Speech Commands → classifier_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_sc09_classifier.py --datasets=datasets/fsdd,datasets/speech_commands --epochs=16 "$@"
