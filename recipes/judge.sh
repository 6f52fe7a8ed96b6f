#!/usr/bin/env bash
# The judge that comes with the project: recordings in datasets/ → judge_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_judge.py "$@"
