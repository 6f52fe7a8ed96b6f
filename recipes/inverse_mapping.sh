#!/usr/bin/env bash
# The inverse mapping that comes with the project: recordings, generator, classifier → inverse_mapping_checkpoint/.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train.py "$@"
