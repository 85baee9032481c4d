import pytest
from torch import nn

from tqd_probe.core.errors import InputError
from tqd_probe.gradients.layout import make_layout

NETWORK = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1)})
GROUPS = {"head": ["b.weight", "b.bias"], "embedding": ["a.weight", "a.bias"]}


def test_groups_are_side_by_side_in_the_order_given():
    layout = make_layout(NETWORK, GROUPS)
    assert layout.parameters == {
        "b.weight": (0, 3),
        "b.bias": (3, 4),
        "a.weight": (4, 10),
        "a.bias": (10, 13),
    }
    assert layout.groups == {"head": (0, 4), "embedding": (4, 13)}
    assert layout.shapes["a.weight"] == (3, 2)
    assert layout.size == 13
    assert layout.locate(3) == ("head", "b.bias")
    assert layout.locate(9) == ("embedding", "a.weight")


def test_a_regular_expression_leaves_out_parameters_and_empty_groups():
    layout = make_layout(NETWORK, GROUPS, r"^a\.")
    assert layout.groups == {"embedding": (0, 9)}
    assert list(layout.parameters) == ["a.weight", "a.bias"]
    assert layout.fingerprint != make_layout(NETWORK, GROUPS).fingerprint
    assert layout.fingerprint == make_layout(NETWORK, GROUPS, r"a\.").fingerprint


@pytest.mark.parametrize(
    ("only", "text"), [("[", "not a regular expression"), ("zz", "no parameter")]
)
def test_a_bad_expression_is_refused(only, text):
    with pytest.raises(InputError, match=f"--params .*{text}"):
        make_layout(NETWORK, GROUPS, only)
