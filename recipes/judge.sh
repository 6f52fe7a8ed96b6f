#!/usr/bin/env bash
# A judge, from random weights: FSDD and Speech Commands → judge_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_sc09_classifier.py --recipe=judge \
    --datasets=datasets/fsdd,datasets/speech_commands --width=96 --epochs=40 "$@"
