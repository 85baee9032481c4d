import json

import pytest
from verification_results import made_up_result

from tqd_probe.core.errors import InputError
from tqd_probe.verification.result import VerificationResult

KEYS = [
    "format",
    "version",
    "tool_version",
    "settings",
    "baseline",
    "seeds",
    "stopped_early",
    "golden_clips",
    "start_loss",
    "start_bucket_loss",
    "sigma_edges",
    "looks",
    "samplers",
    "verdicts",
]


def test_the_file_has_its_documented_keys(tmp_path):
    made_up_result(-0.1).save(tmp_path / "verify.json")
    value = json.loads((tmp_path / "verify.json").read_text())
    assert list(value) == KEYS
    assert value["format"] == "tqd-verify"
    assert value["settings"]["ckpt"] == "tiny"
    assert value["looks"] == [{"seeds": 3, "level": 0.025, "spent": 0.025}]
    assert list(value["samplers"]["bands"]) == ["loss", "loss_per_seed", "bucket_loss"]
    comparison = value["verdicts"]["bands"]
    assert comparison["verdict"] == "helps"
    assert list(comparison["difference"]) == ["mean", "low", "high"]
    assert len(comparison["buckets"]) == 10


def test_a_written_result_reads_as_it_was(tmp_path):
    result = made_up_result(-0.1)
    result.save(tmp_path / "verify.json")
    assert VerificationResult.load(tmp_path / "verify.json") == result


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("format", "other", "format: Input should be 'tqd-verify'"),
        ("surprise", 1, "surprise: Extra inputs are not permitted"),
        ("looks", [{"seeds": 3}], "looks.0.level: Field required"),
    ],
)
def test_faults_are_named_by_their_path(tmp_path, key, value, shown):
    path = tmp_path / "verify.json"
    made_up_result(0).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(InputError) as error:
        VerificationResult.load(path)
    assert f"{path}: {shown}" in str(error.value)
    assert "\n" not in str(error.value)
