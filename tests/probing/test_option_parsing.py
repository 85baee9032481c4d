import pytest

from tqd_probe.core.noise import shift_sigma
from tqd_probe.probing.option_parsing import read_levels, read_pool, read_range


def test_a_count_gives_the_middles_of_equal_parts_shifted():
    assert read_levels("4", 1.0) == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert read_levels("2", 3.0) == pytest.approx(
        [shift_sigma(0.25, 3.0), shift_sigma(0.75, 3.0)]
    )
    assert read_levels(" 0.1, 0.5,0.9", 5.0).tolist() == [0.1, 0.5, 0.9]  # as they are


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0", "0 levels"),
        ("1001", "1001 levels"),
        ("-3", "outside"),
        ("a,b", "not a list of numbers"),
        ("", "not a list of numbers"),
        ("0.5,0.5", "does not rise"),
        ("0.5,1", "outside"),
        ("0.5,nan", "outside"),
    ],
)
def test_levels_that_cannot_be_read(text, fault):
    with pytest.raises(ValueError, match=fault):
        read_levels(text, 1.0)


def test_ranges_rise_and_are_positive():
    assert read_range("0.5,2") == (0.5, 2.0)
    for text in ("2,0.5", "1,1", "0,2", "nan,2", "1", "1,2,3", "a,b"):
        with pytest.raises(ValueError, match=r"0\.5,2"):
            read_range(text)


def test_pools_are_whole_numbers_by_class():
    found = read_pool("golden=10, visual_degraded=800")
    assert found == {"golden": 10, "visual_degraded": 800}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("gold=3", "'gold' is no class"),
        ("golden=1,golden=2", "golden stands twice"),
        ("golden=x", "no whole number"),
        ("golden", "no whole number"),
        ("golden=0", "golden has no clips"),
        ("visual_degraded=5", "golden has no clips"),
    ],
)
def test_pools_that_cannot_be_read(text, fault):
    with pytest.raises(ValueError, match=fault):
        read_pool(text)
