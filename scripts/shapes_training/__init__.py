"""The training of the embedded `shapes` model; `scripts/train_shapes.py` is its command."""
