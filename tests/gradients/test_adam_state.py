import pytest
import torch
from safetensors.torch import save_file

from tqd_probe.core.errors import InputError
from tqd_probe.gradients.adam_state import read_adam_state
from tqd_probe.gradients.metric import factored_size, matrix_shape


def test_moments_are_read_by_name(wan_layout, tmp_path):
    path = tmp_path / "adam.safetensors"
    state = {
        f"exp_avg_sq.{name}": torch.full(shape, float(k + 1))
        for k, (name, shape) in enumerate(wan_layout.shapes.items())
    }
    save_file(state, path)
    found = read_adam_state(path, wan_layout, factored=False)
    assert found.shape == (wan_layout.size,)
    start, stop = list(wan_layout.parameters.values())[2]
    assert (found[start:stop] == 3.0).all()
    first = next(iter(state))
    save_file({**state, first: -state[first]}, path)
    with pytest.raises(InputError, match="finite and not negative"):
        read_adam_state(path, wan_layout, factored=False)
    save_file({**state, first: torch.ones(2)}, path)
    with pytest.raises(InputError, match=r"shape \[2\], the parameter's is \["):
        read_adam_state(path, wan_layout, factored=True)


def test_what_is_no_second_moment_of_the_parameter_is_refused(wan_layout, tmp_path):
    path = tmp_path / "adam.safetensors"
    state = {name: torch.ones(shape) for name, shape in wan_layout.shapes.items()}
    name = next(n for n, s in wan_layout.shapes.items() if len(s) == 2 and s[0] != s[1])
    flat = {**state, name: state[name].flatten()}
    transposed = {**state, name: state[name].T.contiguous()}
    whole = {**state, name: state[name].to(torch.int32)}
    zero = {key: torch.zeros_like(value) for key, value in state.items()}
    save_file(flat, path)
    assert bool((read_adam_state(path, wan_layout, factored=False) == 1).all())
    for faulty, message in (
        (transposed, f"{name}: shape "),
        (whole, f"{name}: numbers of type int32; give exp_avg_sq"),
        (zero, "adam.safetensors: all second moments are zero; give"),
    ):
        save_file(faulty, path)
        with pytest.raises(InputError) as error:
            read_adam_state(path, wan_layout, factored=False)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_factored_moments_are_means_of_rows_and_columns(wan_layout, tmp_path):
    path = tmp_path / "adam.safetensors"
    generator = torch.Generator().manual_seed(0)
    state = {
        f"{name}.exp_avg_sq": torch.rand(shape, generator=generator)
        for name, shape in wan_layout.shapes.items()
    }
    save_file(state, path)
    found = read_adam_state(path, wan_layout, factored=True)
    assert found.shape == (factored_size(wan_layout),)
    name, shape = next(iter(wan_layout.shapes.items()))
    matrix = state[f"{name}.exp_avg_sq"].view(matrix_shape(shape))
    rows, columns = matrix.shape
    assert torch.allclose(found[:rows], matrix.mean(1))
    assert torch.allclose(found[rows : rows + columns], matrix.mean(0))


def test_what_is_no_adam_state_is_called_what_it_is(wan_layout, tmp_path):
    layout = wan_layout
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match=f"--adam-state {path}: no such file"):
        read_adam_state(path, layout, False)
    path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    with pytest.raises(InputError, match="is a video; give a safetensors file of exp"):
        read_adam_state(path, layout, False)
    with pytest.raises(InputError, match="is a folder; give a safetensors file of exp"):
        read_adam_state(tmp_path, layout, False)
