#!/usr/bin/env bash
# The paper's inverse mapping: ResNet-18 of 64 filters, perceptual loss of all clips, separate updates.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train.py --recipe=published "$@"
