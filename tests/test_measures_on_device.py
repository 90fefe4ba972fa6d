import pytest
import torch

from carvid.measures.on_device import iou


def row(pixels: str) -> torch.Tensor:
    return torch.tensor([[pixel == "#" for pixel in pixels]])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("##..", ".##.", 1 / 3), ("##..", "..##", 0), ("....", "####", 0), ("....", "....", 1)],
)
def test_iou(first, second, expected):
    assert iou(row(first), row(second)) == expected
