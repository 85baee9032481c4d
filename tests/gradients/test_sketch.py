import pytest
import torch

from tqd_probe.core.errors import InputError
from tqd_probe.gradients import sketch as sketching
from tqd_probe.gradients.layout import Layout
from tqd_probe.gradients.sketch import SPLITS, Sketch


def layout_of(**shapes):
    """Lay out parameters, each in a group of its own."""
    parameters, at = {}, 0
    for name, shape in shapes.items():
        size = int(torch.tensor(shape).prod())
        parameters[name] = (at, at + size)
        at += size
    return Layout(parameters, dict(parameters), dict(shapes), at)


def gradient(shape, seed, rank=3):
    """A matrix of low rank, as gradients are."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(shape[0], rank, generator=generator, dtype=torch.float64)
    right = torch.randn(rank, shape[1], generator=generator, dtype=torch.float64)
    return left @ right


SHAPES = {
    "square": (512, 512),  # projected
    "wide": (256, 1024),  # projected
    "tall": (1024, 256),  # projected
    "small": (40, 60),  # entry by entry
}


@pytest.mark.monte_carlo
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_expected_products_equal_true_ones_whatever_the_shape(shape, monkeypatch):
    """Over many seeds; a scale that depended on the shape would fail."""
    monkeypatch.setattr(sketching, "OUTSIDE_FACTOR", 1)
    a = gradient(shape, 0)
    b = 0.6 * a + 0.8 * gradient(shape, 1)
    truth = torch.stack([(a * a).sum(), (a * b).sum(), (b * b).sum()])
    found = []
    for seed in range(120):
        monkeypatch.setattr(sketching, "SEED", seed)
        one = Sketch(layout_of(weight=shape), 1024)
        assert (one.columns("weight") > 0) == (shape != (40, 60))
        values = one.of_flat(torch.stack([a.flatten(), b.flatten()]))
        found.append(
            torch.stack(
                [values[0] @ values[0], values[0] @ values[1], values[1] @ values[1]]
            )
        )
    found = torch.stack(found)
    error = found.std(0) / len(found) ** 0.5
    assert (error < 0.03 * truth.abs()).all()
    assert ((found.mean(0) - truth).abs() < 4 * error).all()


def test_a_mis_scaled_projection_is_found(monkeypatch):
    """The check above has teeth: one over the root of the inputs is refused."""
    right = Sketch.projection

    def wrong(self, name, device, dtype):
        out, into = self.layout.shapes[name]
        return right(self, name, device, dtype) * (out / into) ** 0.5

    monkeypatch.setattr(Sketch, "projection", wrong)
    with pytest.raises(AssertionError):
        test_expected_products_equal_true_ones_whatever_the_shape(
            (256, 1024), monkeypatch
        )


@pytest.mark.monte_carlo
def test_splits_are_unbiased_and_tell_the_error(monkeypatch):
    shape = (512, 512)
    a = gradient(shape, 0, rank=1)
    truth = float((a * a).sum())
    totals, stated, splits = [], [], []
    for seed in range(80):
        monkeypatch.setattr(sketching, "SEED", seed)
        value = Sketch(layout_of(**{"blocks.0.w": shape}), 1024).of_flat(
            a.flatten()[None]
        )[0]
        parts = SPLITS * value.reshape(SPLITS, -1).square().sum(1)
        totals.append(float(value @ value))
        stated.append(float(parts.std() / SPLITS**0.5))
        splits.append(float(parts[3]))
    totals, splits = torch.tensor(totals), torch.tensor(splits)
    assert float(totals.std()) == pytest.approx(sum(stated) / len(stated), rel=0.25)
    assert float(splits.mean()) == pytest.approx(truth, rel=0.3)


def test_linear_and_the_same_for_a_name(monkeypatch):
    first = Sketch(layout_of(a=(300, 300), b=(20, 5)), 512)
    again = Sketch(layout_of(a=(300, 300), b=(20, 5)), 512)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, first.layout.size, generator=generator, dtype=torch.float64)
    values = first.of_flat(x)
    torch.testing.assert_close(again.of_flat(x), values, rtol=0, atol=0)
    both = first.of_flat((2 * x[0] - 3 * x[1])[None])[0]
    torch.testing.assert_close(both, 2 * values[0] - 3 * values[1])
    renamed = Sketch(layout_of(c=(300, 300), b=(20, 5)), 512).of_flat(x)
    assert not torch.allclose(renamed[:, :256], values[:, :256])
    torch.testing.assert_close(renamed[:, 256:], values[:, 256:], rtol=0, atol=0)


def test_too_small_a_sketch_is_refused():
    with pytest.raises(InputError, match="--sketch 31: too small for 2 module groups"):
        Sketch(layout_of(a=(3, 3), b=(2, 5)), 31)


def two_groups():
    """Two groups of equal size, one with a hundred times the other's gradient."""
    shapes = {"head": (60, 40), "blocks.0.w": (60, 40)}
    flat = torch.cat(
        [10 * gradient((60, 40), 0).flatten(), gradient((60, 40), 1).flatten()]
    )
    other = 0.5 * flat + torch.cat(
        [10 * gradient((60, 40), 2).flatten(), gradient((60, 40), 3).flatten()]
    )
    layout = layout_of(**shapes)
    energy = {
        name: float(flat[a:b].square().sum() / flat.square().sum())
        for name, (a, b) in layout.parameters.items()
    }
    return layout, torch.stack([flat, other]), energy


def test_numbers_go_where_the_gradient_is_and_the_error_falls(monkeypatch):
    layout, pair, energy = two_groups()
    fitted = Sketch(layout, 1024, energy)
    widths = [stop - start for start, stop in fitted.groups.values()]
    assert sum(widths) == fitted.size <= 1024
    # A quarter of the free 62 x 16 numbers is divided equally, the rest by energy.
    expected = 1 + int(62 * (0.25 / 2 + 0.75 * energy["head"]))
    assert widths[0] == 16 * expected
    truth = float(pair[0] @ pair[1])
    errors = {"fitted": [], "equal": []}
    for seed in range(60):
        monkeypatch.setattr(sketching, "SEED", seed)
        for way, shares in {"fitted": energy, "equal": None}.items():
            a, b = Sketch(layout, 1024, shares).of_flat(pair)
            errors[way].append(float(a @ b) - truth)
    spread = {way: torch.tensor(e).square().mean().sqrt() for way, e in errors.items()}
    # Variance is as 1 / numbers of the group that matters: 512 against 864.
    ratio = float(spread["fitted"] / spread["equal"])
    assert ratio == pytest.approx((512 / widths[0]) ** 0.5, rel=0.25)


def test_columns_follow_a_layer_s_share_of_the_gradient():
    shapes = {
        "blocks.0.a": (2000, 2000),
        "blocks.1.a": (2000, 2000),
        "out": (2000, 2000),
    }
    layout = layout_of(**shapes)
    energy = {"blocks.0.a": 0.004, "blocks.1.a": 0.0316, "out": 0.9644}
    sketch = Sketch(layout, 4096, energy)
    assert [sketch.columns(name) for name in shapes] == [
        16,
        80,
        0,
    ]  # 0: formed, counted
    large = Sketch(layout_of(out=(3000, 2000)), 4096, {"out": 1.0})
    assert large.columns("out") == 592  # what half the cost of forming it buys
