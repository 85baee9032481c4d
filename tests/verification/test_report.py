from verification_results import made_up_result

from tqd_probe.verification.report import format_report


def test_the_page_states_what_helps_and_where():
    text = format_report(made_up_result(-0.1))
    assert "9 steps (LoRA of rank 4), 3 seeds, stopped early" in text
    assert "**bands** helps: lowers the golden loss by" in text
    assert "lower loss at sigma 0.0 to 0.5" in text
    assert "over all interim analyses and comparisons with uniform" in text
    assert "confidence 0.95 over all interim" in text
    assert "but apart: together with the outcomes 0.9." in text


def test_the_page_states_what_hurts():
    text = format_report(made_up_result(0.1))
    assert "**bands** hurts: raises the golden loss by" in text
    assert "higher loss at sigma 0.0 to 0.5" in text


def test_no_difference_comes_with_the_effect_that_is_excluded():
    text = format_report(made_up_result(0))
    assert "**bands**: no difference shown (an effect beyond 0.00" in text
    assert "no single bucket of sigma is clear" in text


def test_buckets_of_an_expert_are_named_by_its_own_levels():
    text = format_report(made_up_result(-0.1, sigma_range=(0.875, 1.0)))
    assert "lower loss at sigma 0.875 to 0.9375" in text
