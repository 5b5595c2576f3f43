"""The networks fit published weights, and start from another model or say why not."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from shared.labels import LABELS
from shared.model_folder import write_model
from shared.preprocessing import InputSpec
from shared.schemas.training import Architecture
from trainer.checkpoints import save_weights
from trainer.errors import BaseModelError
from trainer.network import WEIGHTS_FILE, MeanOf, as_served, build_network, load_base, load_version

ARCHITECTURES = get_args(Architecture)


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of each weight but the last layer's."""
    return {key: value.shape for key, value in network.state_dict().items() if not key.startswith("fc.")}


def publish(
    models: Path, version: str, weights: Path | None, architecture: str = "resnet18", **settings: object
) -> str:
    """Add a version with these weights (the ONNX file is a stand-in, nothing here reads it); return its id."""
    stand_in = models.parent / "model.onnx"
    stand_in.write_bytes(b"not read here")
    files = {"model.onnx": stand_in} | ({WEIGHTS_FILE: weights} if weights else {})
    card = {
        "name": "base",
        "version": version,
        "view": "full",
        "input": InputSpec(size=16),
        "architecture": architecture,
        "training": {"request": {"settings": settings}},
        "data": {},
        "metrics": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return write_model(models, files, card).id


def refusal(network: nn.Module, base_model: str, models: Path, architecture: str = "resnet18") -> str:
    """Return the sentence with which a base model is refused; the network must be as it was."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(BaseModelError) as caught:
        load_base(network, architecture, base_model, models)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    return str(caught.value)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """Return a network with weights of its own, in the last layer too."""
    torch.manual_seed(11)
    return build_network("resnet18")


@pytest.fixture(scope="module")
def other() -> nn.Module:
    """Return the network that is to be filled or left alone."""
    torch.manual_seed(12)
    return build_network("resnet18")


# --- building --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_architecture_gives_seven_logits_a_face(architecture: str) -> None:
    network = build_network(architecture).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 16, 16)).shape == (2, len(LABELS))


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_without_the_max_pool_every_weight_still_fits_the_published_ones(architecture: str) -> None:
    assert shapes(build_network(architecture)) == shapes(get_model(architecture, weights=None))


def test_the_max_pool_is_kept_where_it_is_asked_for() -> None:
    assert isinstance(build_network("resnet18", max_pool=True).maxpool, nn.MaxPool2d)
    assert isinstance(build_network("resnet18").maxpool, nn.Identity)


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_half_the_width_has_half_the_channels_everywhere(architecture: str) -> None:
    whole, half = shapes(build_network(architecture)), shapes(build_network(architecture, width=0.5))
    assert half["conv1.weight"] == (32, 3, 7, 7)
    assert {key: shape[0] for key, shape in whole.items() if shape} == {
        key: 2 * shape[0] for key, shape in half.items() if shape
    }


@pytest.mark.parametrize(("small_stem", "side"), [(False, 24), (True, 48)])
def test_a_small_stem_keeps_the_resolution(small_stem: bool, side: int) -> None:
    network = build_network("resnet18", width=0.25, small_stem=small_stem).eval()
    seen: list[torch.Size] = []
    network.get_submodule("layer1").register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 48, 48)).shape == (2, len(LABELS))
    assert seen == [(2, 16, side, side)]


@pytest.mark.parametrize(("architecture", "last"), [("resnet18", "bn2"), ("resnet50", "bn3")])
def test_a_reshaped_network_begins_as_torchvisions_does_with_blocks_that_add_nothing(
    architecture: str, last: str
) -> None:
    weights = build_network(architecture, width=0.5, small_stem=True).state_dict()
    assert not weights[f"layer3.0.{last}.weight"].any()
    assert weights["layer3.0.bn1.weight"].eq(1).all()
    spread = float(weights["layer4.1.conv2.weight"].std())
    fan_out = weights["layer4.1.conv2.weight"][:, 0].numel()
    assert spread == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_an_average_over_mirror_images_answers_to_both_alike(trained: nn.Module) -> None:
    network, faces = trained.eval(), torch.rand(3, 3, 16, 16)
    with torch.inference_mode():
        mean = (network(faces) + network(faces.flip(-1))) / 2
        served = as_served(network, mirror_average=True)
        assert torch.allclose(served(faces), mean, atol=1e-5)
        assert torch.allclose(served(faces.flip(-1)), mean, atol=1e-5)
    assert as_served(network, mirror_average=False) is network


# --- starting from another model -------------------------------------------------------------------------------------


def test_a_version_fills_the_network_with_its_last_layer(trained: nn.Module, models: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", trained)
    network = build_network("resnet18")
    load_base(network, "resnet18", publish(models, "1", tmp_path / "w.safetensors"), models)
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in network.state_dict().items())


def test_half_precision_weights_fill_a_float32_network(trained: nn.Module, models: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", trained, half=True)
    network = build_network("resnet18")
    load_base(network, "resnet18", publish(models, "1", tmp_path / "w.safetensors"), models)
    for key, value in network.state_dict().items():
        assert value.dtype == trained.state_dict()[key].dtype
        assert torch.allclose(value.float(), trained.state_dict()[key].float(), atol=1e-3)


def test_a_last_layer_of_other_size_is_left_at_random(models: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", get_model("resnet18", weights=None))
    network = build_network("resnet18")
    before = network.state_dict()["fc.weight"].clone()
    load_base(network, "resnet18", publish(models, "1", tmp_path / "w.safetensors"), models)
    assert torch.equal(network.state_dict()["fc.weight"], before)


def test_a_version_is_loaded_in_the_shape_that_its_card_tells(models: Path, tmp_path: Path) -> None:
    shape = {"width": 0.25, "small_stem": True}
    narrow = build_network("resnet18", **shape)
    save_weights(tmp_path / "w.safetensors", narrow)
    loaded = load_version(models, publish(models, "1", tmp_path / "w.safetensors", **shape, epochs=3))
    assert all(torch.equal(value, narrow.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_a_wider_network_begins_as_the_version_answers(models: Path, tmp_path: Path) -> None:
    shape = {"width": 0.25, "small_stem": True}
    narrow = build_network("resnet18", **shape).eval()
    save_weights(tmp_path / "w.safetensors", narrow)
    wide = build_network("resnet18", width=0.5, small_stem=True)
    load_base(wide, "resnet18", publish(models, "1", tmp_path / "w.safetensors", **shape), models)
    faces = torch.randn(4, 3, 24, 24)
    with torch.no_grad():
        assert torch.allclose(wide.eval()(faces), narrow(faces), atol=1e-5)


def test_a_version_of_another_shape_is_refused_with_what_to_ask_for(
    other: nn.Module, models: Path, tmp_path: Path
) -> None:
    save_weights(tmp_path / "w.safetensors", build_network("resnet18", width=0.25, small_stem=True))
    words = refusal(other, publish(models, "1", tmp_path / "w.safetensors"), models)
    assert "of another shape" in words
    assert "small_stem" in words
    assert "its width or a greater one" in words


def test_a_missing_version_is_refused_by_name(other: nn.Module, models: Path) -> None:
    assert "base/9" in refusal(other, "base/9", models)


@pytest.mark.parametrize("base_model", ["first", "../../etc/passwd", "/etc/passwd", "a/b/c"])
def test_what_is_no_version_is_refused(base_model: str, other: nn.Module, models: Path) -> None:
    assert "<name>/<version>" in refusal(other, base_model, models)


def test_a_version_without_weights_is_refused(other: nn.Module, models: Path) -> None:
    assert f"ships no {WEIGHTS_FILE}" in refusal(other, publish(models, "1", None), models)


def test_a_version_of_another_architecture_is_refused(
    trained: nn.Module, other: nn.Module, models: Path, tmp_path: Path
) -> None:
    save_weights(tmp_path / "w.safetensors", trained)
    model_id = publish(models, "1", tmp_path / "w.safetensors", "resnet34")
    assert "is a resnet34" in refusal(other, model_id, models)


def test_weights_that_are_no_safetensors_are_refused(other: nn.Module, models: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04 a pickle, say")
    assert "cannot be read" in refusal(other, publish(models, "1", tmp_path / "w.safetensors"), models)


def test_weights_that_do_not_fit_are_refused_with_their_number(other: nn.Module, models: Path, tmp_path: Path) -> None:
    weights = dict(other.state_dict())
    del weights["conv1.weight"], weights["bn1.weight"]
    save_file(weights, tmp_path / "w.safetensors")
    assert "2 weights are missing" in refusal(other, publish(models, "1", tmp_path / "w.safetensors"), models)


def test_an_altered_weights_file_is_refused(trained: nn.Module, other: nn.Module, models: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", trained)
    model_id = publish(models, "1", tmp_path / "w.safetensors")
    with (models / model_id / WEIGHTS_FILE).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert "SHA-256" in refusal(other, model_id, models)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Send downloads to a port on which nobody listens, with an empty cache."""
    hub = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    urllib.request.install_opener(None)  # the one in use remembers other proxies
    yield
    urllib.request.install_opener(None)
    torch.hub.set_dir(hub)


@pytest.mark.usefixtures("no_network")
def test_imagenet_weights_without_a_network_are_refused_with_a_sentence(other: nn.Module, models: Path) -> None:
    sentence = refusal(other, "imagenet", models)
    assert sentence.startswith("The ImageNet weights could not be downloaded; check the network or start ")


def test_networks_answer_together_with_the_mean_of_their_logits() -> None:
    networks = [build_network("resnet18").eval() for _ in range(2)]
    faces = torch.randn(3, 3, 16, 16)
    with torch.inference_mode():
        together = MeanOf(networks)(faces)
        alone = [network(faces) for network in networks]
    assert not torch.allclose(alone[0], alone[1])
    assert torch.allclose(together, (alone[0] + alone[1]) / 2, atol=1e-6)
