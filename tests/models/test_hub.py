import shutil

import huggingface_hub.constants as constants
import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.models import hub
from tqd_probe.models.load import load_model


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """The hub's cache in a folder of its own, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def cached(folder, pipeline, name):
    """Put a pipeline into the hub's cache as a download would."""
    place = folder / f"models--{name.replace('/', '--')}"
    commit = "0" * 40
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    shutil.copytree(pipeline, place / "snapshots" / commit)


def test_names_of_the_hub(tmp_path, monkeypatch):
    assert hub.is_hub_id("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    for other in ("tiny", "/a/b", "a/b/c", "./a", "a/../b", "", "-a/b"):
        assert not hub.is_hub_id(other)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "model").mkdir(parents=True)
    assert not hub.is_hub_id("own/model")


def test_the_cache_is_used_offline(offline, pipeline):
    cached(offline, pipeline, "someone/small-wan")
    model = load_model("someone/small-wan")
    assert model.source == "someone/small-wan"
    assert model.fingerprint == load_model(str(pipeline)).fingerprint
    assert model.network is not None


def test_what_is_not_cached_is_one_line_offline(offline):
    with pytest.raises(InputError) as error:
        load_model("someone/else")
    assert "\n" not in str(error.value)
    assert "--ckpt someone/else: no such directory" in str(error.value)
    assert "go online" in str(error.value)


def test_a_repository_without_a_pipeline_is_named(offline, pipeline):
    cached(offline, pipeline, "someone/odd")
    for file in offline.rglob("model_index.json"):
        file.unlink()
    with pytest.raises(InputError, match=r"no model_index\.json in the repository"):
        load_model("someone/odd")


def test_only_weights_configurations_and_tokenizers_are_asked_for(
    pipeline, monkeypatch
):
    asked = []

    def snapshot(name, **options):
        asked.append(options)
        return str(pipeline)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    hub.download("someone/small-wan")
    assert asked[0] == {"allow_patterns": ["model_index.json"]}
    patterns = asked[1]["allow_patterns"]
    assert "transformer/*.safetensors" in patterns
    assert "tokenizer/*.model" in patterns
    assert not any(p.startswith("*") or p.endswith((".bin", ".py")) for p in patterns)
