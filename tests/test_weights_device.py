import pytest
import torch

from carvid.errors import UsageError
from carvid.weights.device import available_devices, resolve_device, resolve_dtype

CPU = torch.device("cpu")


def test_auto_takes_a_device_of_this_machine():
    assert resolve_device() == resolve_device("auto") == available_devices()[0]
    assert available_devices()[-1] == CPU


def test_cpu_is_always_there():
    assert resolve_device("cpu") == CPU


def test_auto_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="no device cuda:2: this machine has cuda:0, cuda:1, mps, cpu"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "mps"])
def test_missing_device_is_refused_with_what_there_is(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"no device {name}: this machine has cpu"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "CPU", "cuda:0 "])
def test_unknown_device_names(name):
    with pytest.raises(UsageError, match="expected auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [
        ("auto", "cpu", torch.float32),
        ("auto", "mps", torch.float32),
        ("float32", "cpu", torch.float32),
        ("bfloat16", "cpu", torch.bfloat16),
        ("float16", "cpu", torch.float16),
        ("float16", "cuda", torch.float16),
    ],
)
def test_dtypes(name, device, expected):
    assert resolve_dtype(name, torch.device(device)) == expected


@pytest.mark.parametrize(("capability", "expected"), [((8, 0), torch.bfloat16), ((7, 5), torch.float16)])
def test_auto_on_cuda_follows_the_card(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_dtype("auto", torch.device("cuda")) == expected


def test_bfloat16_on_a_card_without_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    with pytest.raises(UsageError, match="cuda has no bfloat16: choose float16 or float32"):
        resolve_dtype("bfloat16", torch.device("cuda"))


def test_unknown_dtype():
    with pytest.raises(UsageError, match="unknown dtype 'float64'"):
        resolve_dtype("float64", CPU)
