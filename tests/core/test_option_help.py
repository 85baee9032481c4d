"""What the commands say about their options, all of them."""

import pytest

from tqd_probe.__main__ import COMMANDS, options_of
from tqd_probe.core.option_help import describe_options

SHAPE = {"frames", "height", "width", "fps"}
OWN = {  # (command, option) that means something of its own
    ("score", "max_bad"),
    ("score", "frames"),
    ("score", "fps"),
    ("score", "batch_size"),
    ("score", "mq_min"),
    ("score", "vq_min"),
    ("score", "clips"),
    ("score", "num_clips"),
    ("score", "workers"),
    ("score", "out"),
    ("gradsim", "clips"),
    ("gradsim", "batch_size"),
    ("gradsim", "workers"),
    ("gradsim", "expert"),
    ("gradsim", "shift"),
    ("verify", "steps"),
    ("verify", "confidence"),
    ("preview", "frames"),
    ("preview", "height"),
    ("preview", "width"),
    ("preview", "schedule"),
    ("preview", "config"),
    ("export", "config"),
    ("export", "clips"),
    ("export", "frames"),
    ("export", "height"),
    ("export", "width"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence_under_a_heading(name):
    options = options_of(name)
    described = describe_options(options)
    names = {field.alias or key for key, field in options.model_fields.items()}
    assert {each.name for each in described} == names
    assert len(described) == len(names)
    for each in described:
        assert len(each.sentence) > 10, each
        assert each.heading != "options", each
        for leak in ("(default", "None", "lambda", "Path", "str"):
            assert leak not in f" {each.value} {each.default} ".split(), each
        switch = not each.value
        assert each.required or each.default or switch or each.name in ("clips", "from")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_heading_stands_once(name):
    headings = [each.heading for each in describe_options(options_of(name))]
    changes = [one for one, before in zip(headings, [None, *headings]) if one != before]
    assert len(changes) == len(set(changes))


def test_repeated_options_have_one_sentence_and_one_default():
    said: dict[str, set] = {}
    for command in COMMANDS:
        for each in describe_options(options_of(command)):
            if (command, each.name) not in OWN:
                words = (each.sentence, each.default, each.value, each.heading)
                said.setdefault(each.name, set()).add(words)
    assert {name for name, words in said.items() if len(words) > 1} <= {
        "out",
        "overwrite",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_options_named_in_sentences_exist(name):
    options = options_of(name)
    flags = {f"--{each.name.replace('_', '-')}" for each in describe_options(options)}
    for each in describe_options(options):
        for word in f"{each.sentence} {each.default}".replace("=", " ").split():
            if word.startswith("--"):
                assert word.strip(",.;:)") in flags, each
