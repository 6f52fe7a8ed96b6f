#!/usr/bin/env bash
# The generator tuned to one speaker of the recordings in datasets/ → adapted/, a WaveGAN checkpoint of its own.
# usage: recipes/adapt.sh --speaker=george
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" adapt_wavegan.py "$@"
