import pytest
from pydantic_settings import SettingsError

from tqd_probe.core.option_help import OptionHelp
from tqd_probe.core.option_parser import OptionParser


def option(name, heading, sentence, value="INT", default="", required=False):
    return OptionHelp(
        name=name,
        heading=heading,
        flag=f"--{name.replace('_', '-')}",
        value=value,
        sentence=sentence,
        default=default,
        required=required,
        positional=False,
    )


@pytest.fixture
def parser():
    described = [
        option("num_clips", "clips", "clips used", required=True),
        option("seed", "run", "seed of all noise", default="0"),
        option("width", "clips", "width of 50% of clips", default="as they are"),
    ]
    made = OptionParser(described, "prog", "What it does: 100%.", "See also.")
    for name in ("width", "seed", "num_clips"):  # in another order
        made.add_option(f"--{name.replace('_', '-')}", dest=name, type=int)
    return made


def test_options_stand_under_headings_in_their_order(parser):
    text = parser.format_help()
    assert text.startswith("usage: prog --num-clips INT [options]")
    clips, run = (
        ["\nclips:", "--num-clips INT  ", "--width INT"],
        ["\nrun:", "--seed INT"],
    )
    places = [text.index(x) for x in (*clips, *run, "\nhelp:", "See also.")]
    assert places == sorted(places)
    assert "What it does: 100%." in text
    assert "width of 50% of clips (default: as they are)" in text
    assert "\xa0" not in text


def test_values_are_read(parser):
    found = parser.parse_args(["--num-clips", "3", "--seed=5"])
    assert (found.num_clips, found.seed, found.width) == (3, 5, None)


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (["--num-clip", "3"], "did you mean --num-clips?"),
        (["--see=3"], "did you mean --seed?"),
        (["--zzz"], "unrecognized arguments: --zzz"),
        (["--seed", "x"], "invalid int value: 'x'"),
    ],
)
def test_faults_are_errors_of_one_line(parser, argv, fault):
    with pytest.raises(SettingsError) as error:
        parser.parse_args(argv)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)
