import pytest

from tqd_probe.core import errors


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (errors.InputError, (errors.TqdError,)),
        (errors.BadClip, (errors.InputError, errors.TqdError)),
        (errors.ClipTooSmall, (errors.BadClip, errors.InputError)),
        (errors.ConfigurationChanged, (errors.TqdError,)),
        (errors.GradientError, (errors.TqdError,)),
        (errors.MainProcessFailed, (errors.TqdError,)),
    ],
)
def test_every_error_is_one_the_commands_report(kind, parents):
    assert all(issubclass(kind, parent) for parent in parents)
    assert str(kind("file: fault; cure")) == "file: fault; cure"


def test_other_errors_are_not_taken_for_bad_clips():
    for kind in (errors.ConfigurationChanged, errors.GradientError):
        assert not issubclass(kind, errors.InputError)
