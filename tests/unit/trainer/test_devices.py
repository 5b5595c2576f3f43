"""A device's arithmetic is what was asked for, or what its hardware is fast with."""

import pytest
import torch

from trainer.devices import choose_arithmetic, choose_device, choose_dtype
from trainer.errors import TrainerError

CPU = torch.device("cpu")


def test_a_named_device_is_taken_and_auto_finds_one() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps", "xpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_by_the_variable_that_names_it(name: str) -> None:
    if torch.accelerator.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(TrainerError, match=f"^TRAINER_DEVICE is {name}, and this process sees no such GPU"):
        choose_device(name)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_precision_is_what_was_asked_for(precision: str, dtype: torch.dtype) -> None:
    assert choose_dtype(precision, CPU) == dtype


def test_auto_takes_bfloat16_on_a_cpu_that_multiplies_it_and_never_float16() -> None:
    has_hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    assert choose_dtype("auto", CPU) == (torch.bfloat16 if has_hardware else torch.float32)


def test_auto_leaves_an_apple_gpu_in_float32_and_the_usual_layout() -> None:
    arithmetic = choose_arithmetic("auto", torch.device("mps"))
    assert (arithmetic.dtype, arithmetic.layout) == (torch.float32, torch.contiguous_format)


@pytest.mark.parametrize(("precision", "scaled"), [("fp32", False), ("bf16", False), ("fp16", True)])
def test_the_loss_is_scaled_in_float16_alone(precision: str, scaled: bool) -> None:
    assert choose_arithmetic(precision, CPU).scaler().is_enabled() == scaled


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_products_are_computed_in_the_precision_and_weights_stay_float32(precision: str, dtype: torch.dtype) -> None:
    arithmetic = choose_arithmetic(precision, CPU)
    network = arithmetic.place(torch.nn.Linear(2, 2))
    with arithmetic.autocast():
        assert network(torch.ones(1, 2)).dtype == dtype
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_images_lie_with_their_channels_last_on_a_cpu_and_the_description_says_so() -> None:
    arithmetic = choose_arithmetic("bf16", CPU)
    (weight, _) = arithmetic.place(torch.nn.Conv2d(3, 4, 3)).parameters()
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert arithmetic.describe() == {"device": "cpu", "precision": "bfloat16", "layout": "channels_last"}
