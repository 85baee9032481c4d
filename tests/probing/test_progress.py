"""An ETA that counts what follows the last draw, and does not jump."""

from types import SimpleNamespace

import pytest

from tqd_probe.probing.progress import DrawProgress


def bar_of(finished=(), stored=0, tail=5.0):
    """The bar of three levels with ten draws each that take 30 s to capture."""
    draws = SimpleNamespace(count=lambda level, paired: (stored * (level == 1), 0))
    store = SimpleNamespace(has_level=lambda level: level in finished, draws=draws)
    workspace = SimpleNamespace(
        sigmas=[0.1, 0.5, 0.9],
        clip_ids=["a"] * 5,
        settings=SimpleNamespace(draws=2),
        encoded=SimpleNamespace(ids=["a"] * 5),
        store=store,
    )
    left = (3 - len(finished)) * 10 - stored
    meter = SimpleNamespace(parts={"capture": float(left)}, tail=tail)
    return DrawProgress(workspace, meter, progress=True)


@pytest.fixture
def clock(monkeypatch):
    """A clock for tqdm that a test sets."""
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def eta(bar):
    shown = bar._bar.format_dict
    return (
        (shown["total"] - shown["n"])
        * shown["elapsed"]
        / (shown["n"] - shown["initial"])
    )


def test_the_eta_falls_evenly_to_what_follows_the_last_draw(clock, capsys):
    found = []
    with bar_of() as bar:
        for level in range(3):
            bar.begin(level, 0.5)
            for _ in range(10):
                clock[0] += 1
                bar.update(1)
                found.append(eta(bar))
            bar.end_level()
    assert found == pytest.approx([35 - n for n in range(1, 31)])
    assert "100%" in capsys.readouterr().err


def test_stored_draws_do_not_count_as_fast_ones(clock):
    bar = bar_of(finished=(0,), stored=6)
    bar.begin(1, 0.5)
    bar.update(5)  # these are skipped at once
    clock[0] += 2
    bar.update(3)  # one more of them, and two that are captured
    assert eta(bar) == pytest.approx(12 + 5)
    bar._bar.close()


def test_a_level_that_stops_early_shortens_the_rest(clock):
    bar = bar_of()
    bar.begin(0, 0.1)
    clock[0] += 4
    bar.update(4)
    bar.end_level()
    assert eta(bar) == pytest.approx(20 + 5)
    bar._bar.close()
