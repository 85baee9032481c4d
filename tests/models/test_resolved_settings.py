import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.models.load import FAMILIES
from tqd_probe.models.resolved_settings import describe_types, resolve_settings
from tqd_probe.probing.run_directory import recorded_settings
from tqd_probe.probing.settings import ProbeRunSettings
from tqd_probe.training.settings import TrainRunSettings
from tqd_probe.verification.settings import VerificationRunSettings

COMMANDS = [
    (ProbeRunSettings, {}),
    (TrainRunSettings, {"clips": "c", "steps": 1, "out": "o"}),
    (VerificationRunSettings, {"clips": "c", "golden": "g", "out": "o"}),
]


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for module in ("number_types", "resolved_settings"):
        monkeypatch.setattr(f"tqd_probe.models.{module}.has_bf16", lambda _: True)


@pytest.mark.parametrize(("kind", "more"), COMMANDS)
def test_a_cpu_means_float32_whatever_the_checkpoint(kind, more):
    found = resolve_settings(kind(ckpt="no-such-folder", device="cpu", **more))
    assert (found.device, found.dtype, found.vae_dtype) == ("cpu", "fp32", "fp32")
    assert found.exact_resume == "on"
    with pytest.raises(InputError, match=r"^--tf32 on: a CPU has no TF32"):
        resolve_settings(kind(ckpt="tiny", device="cpu", tf32="on", **more))


@pytest.mark.parametrize(("kind", "more"), COMMANDS)
def test_a_gpu_means_what_the_checkpoint_says(kind, more, gpu, monkeypatch):
    small = resolve_settings(kind(ckpt="tiny", **more))
    assert (small.device, small.dtype) == ("cuda", "fp32")
    monkeypatch.setattr("tqd_probe.models.number_types.SMALL", 0)
    found = resolve_settings(kind(ckpt="tiny", **more))
    assert describe_types(found) == (
        "device cuda, number type bf16, autoencoder fp32; a resumed run is the same up"
        " to rounding (--exact-resume off)"
    )
    asked = resolve_settings(kind(ckpt="tiny", dtype="fp32", **more))
    assert asked.dtype == "fp32"
    more = {"exact_resume": "on", **more}
    fast = resolve_settings(kind(ckpt="tiny", tf32="on", **more))
    assert describe_types(fast).endswith("autoencoder fp32, TF32")
    with pytest.raises(InputError, match="--ckpt no-such-folder"):
        resolve_settings(kind(ckpt="no-such-folder", **more))


def test_what_was_chosen_is_recorded():
    settings = ProbeRunSettings(ckpt="tiny", device="cpu")
    assert recorded_settings(settings)["dtype"] == "auto"
    assert recorded_settings(resolve_settings(settings))["dtype"] == "fp32"


def test_the_autoencoder_is_in_bf16_where_its_family_publishes_it_so(gpu, monkeypatch):
    monkeypatch.setattr("tqd_probe.models.number_types.SMALL", 0)
    monkeypatch.setattr(
        "tqd_probe.models.number_types.stored_types", lambda _: ({"F32"}, 1)
    )
    settings = ProbeRunSettings(ckpt="tiny")
    assert resolve_settings(settings).vae_dtype == "fp32"
    assert {name for name, family in FAMILIES.items() if family.vae_takes_bf16} == {
        "CogVideoXPipeline",
        "LTXPipeline",
    }
    monkeypatch.setattr(FAMILIES["WanPipeline"], "vae_takes_bf16", True)
    assert resolve_settings(settings).vae_dtype == "bf16"
    asked = settings.model_copy(update={"vae_dtype": "fp32"})
    assert resolve_settings(asked).vae_dtype == "fp32"
