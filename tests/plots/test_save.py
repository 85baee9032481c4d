import pytest
from matplotlib.figure import Figure
from PIL import Image

from tqd_probe.plots.save import write_figure


@pytest.mark.rendered
def test_a_figure_is_a_png_of_the_resolution_asked_for(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    path = tmp_path / "new" / "a.png"
    assert write_figure(figure, path) == path
    small = Image.open(path)
    assert small.format == "PNG"
    write_figure(figure, path, dpi=300)
    assert Image.open(path).width / small.width == pytest.approx(2, abs=0.02)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_a_figure_that_cannot_be_drawn_leaves_nothing(tmp_path, monkeypatch):
    def fails(self, path, **options):
        path.write_bytes(b"half")
        raise ValueError("no such marker")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(ValueError, match="no such marker"):
        write_figure(Figure(), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
