"""A SAM as it is found: a folder, a single file, or a recipe for random weights; no tensor checked yet."""

from __future__ import annotations

from carvid.errors import WeightsError
from carvid.sam.architectures import ARCHITECTURES, RANDOM_SEED
from carvid.sam.convert import convert_state_dict, infer_config, is_original_layout
from carvid.weights import stored
from carvid.weights.damage import refused
from carvid.weights.files import CONFIG, sha256_of
from carvid.weights.locate import Located
from carvid.weights.stored import Stored
from carvid.weights.tensors import read_state_dict

#: model_type of the configurations that are read; SAM 2's checkpoints hold the video model.
MODEL_TYPES = ("sam", "sam_hq", "sam2", "sam2_video")


def read_sam(located: Located) -> Stored:
    """The located SAM. Raises WeightsError."""
    if located.spec.kind == "random":
        architecture = located.spec.location
        recipe = f"random weights, SAM {architecture}, seed {RANDOM_SEED}"
        return stored.from_recipe(ARCHITECTURES[architecture], recipe)
    if located.spec.kind == "file":
        with refused(f"{located.spec.name} holds no SAM that can be read"):
            return _from_file(located)
    return stored.from_folder(located, MODEL_TYPES)


def _from_file(located: Located) -> Stored:
    """The SAM in one file in segment-anything's layout."""
    (path,) = located.weights
    state, where = read_state_dict([path], allow_pickle=located.allow_pickle), str(path)
    if not is_original_layout(state):
        raise WeightsError(
            f"{path} holds no image_encoder.*: expected segment-anything's layout. For Hugging Face's, name "
            f"the folder that holds {CONFIG} as well"
        )
    return Stored(
        config=infer_config(state, where=where),
        state=convert_state_dict(state, where=where),
        sha256=sha256_of([path]),
        source=where,
    )
