#!/usr/bin/env bash
# The classifier that comes with the project: recordings in datasets/ → classifier_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_sc09_classifier.py --epochs=27 "$@"
