#!/usr/bin/env bash
# The paper's classifier: ResNet-18 of 64 filters on the real part of the spectrogram, no augmentation.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_sc09_classifier.py --recipe=published "$@"
