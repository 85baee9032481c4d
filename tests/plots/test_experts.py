import pytest

from tqd_probe.plots.experts import draw_experts, experts_heatmap


def halves(probed):
    """The result as if two experts had measured it, above and below 0.875."""
    result, schedule = probed
    found = []
    for expert, span in (("high", (0.875, 1.0)), ("low", (0.0, 0.875))):
        low, high = span
        levels = [low + (high - low) * share for share in (0.25, 0.5, 0.75)]
        model = result.model.model_copy(update={"expert": expert})
        noise = result.noise.model_copy(update={"range": span, "levels": levels})
        found.append(result.model_copy(update={"model": model, "noise": noise}))
    return found, [schedule, schedule]


def test_each_expert_fills_its_own_range(probed):
    results, schedules = halves(probed)
    axes = experts_heatmap(results, schedules).axes[0]
    high, low = (mesh.get_coordinates()[0, :, 0] for mesh in axes.collections[:2])
    assert (high[0], high[-1]) == pytest.approx((0.875, 1))
    assert (low[0], low[-1]) == pytest.approx((0, 0.875))
    assert list(axes.lines[0].get_xdata()) == [0.875, 0.875]


def test_the_picture_has_its_name(probed, tmp_path):
    path = draw_experts(*halves(probed), tmp_path)
    assert path == tmp_path / "experts_heatmap.png"
    assert path.exists()
