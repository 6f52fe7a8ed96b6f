#!/usr/bin/env bash
# The generator that comes with the project, from nothing: FSDD's recordings → checkpoint/, some four hours on two
# cores of their own. Stopped and started again it goes on, for which progress.npz and curve.csv in that folder are enough.
# usage: recipes/wavegan.sh --datasets=datasets/fsdd
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train_wavegan.py --lowpass=4000 --half_life=6000 --epochs=180 "$@"
