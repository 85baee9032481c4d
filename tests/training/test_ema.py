import pytest
import torch

from tqd_probe.training.ema import Ema


def test_average_of_weights_with_a_decay_that_rises():
    parameters = {"w": torch.nn.Parameter(torch.zeros(2))}
    ema, expected = Ema(parameters, 0.3), 0.0
    for step in range(6):
        with torch.no_grad():
            parameters["w"].fill_(step + 1.0)
        ema.update(parameters, step)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step + 1)
        assert ema.average["w"].tolist() == pytest.approx([expected] * 2)


def test_weights_come_back_after_the_block_even_when_it_fails():
    parameters = {"w": torch.nn.Parameter(torch.zeros(2))}
    ema = Ema(parameters, 0.5)
    with torch.no_grad():
        parameters["w"].fill_(4.0)
    with pytest.raises(ZeroDivisionError), ema.swapped_in(parameters):
        assert parameters["w"].tolist() == [0, 0]
        raise ZeroDivisionError
    assert parameters["w"].tolist() == [4, 4]
