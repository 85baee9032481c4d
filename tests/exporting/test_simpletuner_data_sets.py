import json

import pytest

from tqd_probe.core.errors import InputError
from tqd_probe.exporting.simpletuner_data_sets import backends_file, read_backends

NAME = "config/examples/multidatabackend-small-video-480p.json"


def test_examples_are_found_where_the_trainer_keeps_them(tmp_path):
    # configuration/json_file.py of SimpleTuner (bc8e6ab): config/examples is the
    # folder examples of the package, where that is not on the disk
    folder = tmp_path / "simpletuner" / "examples" / "wan-1.3b.peft-lora"
    folder.mkdir(parents=True)
    path = folder / "config.json"
    source = folder.parent / "multidatabackend-small-video-480p.json"
    with pytest.raises(InputError, match="no such file"):
        backends_file({"data_backend_config": NAME}, path)
    entry = {"id": "clips", "dataset_type": "video", "dataset_name": "a/b"}
    source.write_text(json.dumps([entry, {"id": "t", "dataset_type": "text_embeds"}]))
    assert backends_file({"data_backend_config": NAME}, path) == source
    assert read_backends({"data_backend_config": NAME}, path) == [entry]
    with pytest.raises(InputError, match="data_backend_config: not set"):
        backends_file({}, path)
