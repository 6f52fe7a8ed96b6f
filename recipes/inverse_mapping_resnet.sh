#!/usr/bin/env bash
# The paper's inverse mapping at the size that comes with the project: ResNet-18 of 20 filters, 1,000 steps.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" train.py --recipe=published --width=20 --steps=50 --epochs=20 --batch_size=16 \
    --real_batch_size=16 --inverse_mapping_checkpoint=inverse_mapping_checkpoint/resnet/ \
    --logs=logs/inverse_mapping_resnet/ --waves=waves/training_resnet/ "$@"
