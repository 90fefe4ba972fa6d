import numpy as np
import pytest
import torch
from PIL import Image

from carvid.clip.preprocess import CLIP_MEAN, CLIP_STD, PreprocessOptions, preprocess
from carvid.errors import WeightsError

RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def scene(height, width, seed=0):
    """An RGB image with flat parts, hard edges and noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3))
    image[: height // 2] = image[0, 0]
    image[height // 4 : height // 3, width // 5 : width // 2] = (255, 0, 128)
    return image.astype(np.uint8)


def with_pil(image, options):
    """OpenAI's CLIP preprocessing by PIL: the twin."""
    pil = Image.fromarray(image)
    if options.shortest_edge is None:
        pil = pil.resize(options.size[::-1], RESAMPLING[options.resample])
    else:
        short = min(pil.size)
        size = tuple(int(options.shortest_edge * side / short) for side in pil.size)
        pil = pil.resize(size, RESAMPLING[options.resample])
        top = round((pil.height - options.size[0]) / 2.0)
        left = round((pil.width - options.size[1]) / 2.0)
        pil = pil.crop((left, top, left + options.size[1], top + options.size[0]))
    return torch.from_numpy(np.array(pil)).permute(2, 0, 1).float()


def grey_levels(output, options):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (options.mean, options.std))
    return (output * std + mean) * 255


SIZES = [(480, 854), (240, 426), (427, 240), (100, 100), (32, 32), (20, 61), (225, 224)]


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_agrees_with_pil(height, width, squash, resample):
    edge = 64
    options = PreprocessOptions(size=(edge, edge), shortest_edge=None if squash else edge, resample=resample)
    image = scene(height, width)
    output = preprocess(torch.from_numpy(np.stack([image, image[::-1]])), options)
    assert output.shape == (2, 3, edge, edge)
    assert output.dtype == torch.float32
    assert torch.equal(grey_levels(output[0], options).round(), with_pil(image, options))
    assert (grey_levels(output[0], options) - with_pil(image, options)).abs().max() < 1e-3


def test_an_image_of_the_right_size_is_only_normalised():
    image = torch.tensor([[[[0, 128, 255]] * 2] * 2], dtype=torch.uint8)
    options = PreprocessOptions(size=(2, 2), shortest_edge=2, mean=(0.0, 0.5, 0.5), std=(1.0, 0.5, 0.25))
    output = preprocess(image, options)
    expected = torch.tensor([0.0, (128 / 255 - 0.5) / 0.5, 2.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(output, expected)


def test_a_batch_is_its_images():
    batch = torch.from_numpy(np.stack([scene(50, 70, seed) for seed in range(3)]))
    options = PreprocessOptions.for_image_size(24)
    alone = torch.cat([preprocess(image[None], options) for image in batch])
    assert torch.equal(preprocess(batch, options), alone)


def test_usable_in_and_out_of_inference_mode():
    image, weight = torch.from_numpy(scene(37, 41))[None], torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        preprocess(image, PreprocessOptions.for_image_size(19))
    (preprocess(image, PreprocessOptions.for_image_size(19)) * weight).sum().backward()
    assert weight.grad is not None


def read(config, image_size=224):
    return PreprocessOptions.from_config(config, image_size=image_size, where="here")


CLIP_224 = PreprocessOptions((224, 224), 224, CLIP_MEAN, CLIP_STD, "bicubic")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, CLIP_224),
        ({"size": 224, "crop_size": 224, "do_center_crop": True, "resample": 3}, CLIP_224),
        ({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}, CLIP_224),
        ({"size": 256, "crop_size": 224}, PreprocessOptions((224, 224), 256)),
        (
            {"do_center_crop": False, "size": {"height": 96, "width": 80}},
            PreprocessOptions((96, 80), None),
        ),
        (
            {"size": {"height": 96, "width": 96}, "crop_size": 96},
            PreprocessOptions((96, 96), None),
        ),
        ({"resample": 2}, PreprocessOptions(resample="bilinear")),
        (
            {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]},
            PreprocessOptions(mean=(0.5,) * 3, std=(0.25,) * 3),
        ),
        ({"do_normalize": False}, PreprocessOptions(mean=(0.0,) * 3, std=(1.0,) * 3)),
    ],
)
def test_preprocessor_configs(config, expected):
    assert read(config) == expected


def test_what_is_left_out_follows_the_model():
    assert read({}, image_size=96) == PreprocessOptions((96, 96), 96)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"do_resize": False}, "do_resize is False, expected true"),
        ({"do_rescale": False}, "do_rescale is False, expected true"),
        ({"rescale_factor": 1.0}, "rescale_factor is 1.0, expected 1/255"),
        ({"resample": 0}, "resample is 0, expected 3"),
        ({"do_center_crop": False}, "do_center_crop is false with a shortest edge"),
        ({"size": {"longest_edge": 224}}, "size is"),
        ({"size": 200, "crop_size": 224}, "crop_size 224 is larger than size 200"),
        ({"size": {"height": 99, "width": 99}, "crop_size": 96}, "expected them to be equal"),
        ({"size": 0}, "size is 0"),
        ({"image_mean": [0.5]}, "image_mean is .* expected three numbers"),
    ],
)
def test_configs_that_are_refused(config, message):
    with pytest.raises(WeightsError, match=f"here: .*{message}"):
        read(config)
