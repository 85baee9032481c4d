from tqd_probe.models.module_groups import Grouping

GROUPING = Grouping(
    stacks=("double", "single"),
    parts={"attn": "self_attention", "attn.norm": "modulation", "ff": "feed_forward"},
    head=("proj_out.",),
    modulation=("time.",),
)
NAMES = [
    "proj_out.weight",
    "single.0.ff.weight",
    "double.1.attn.to_q.weight",
    "double.1.attn.norm.weight",
    "double.0.table",
    "time.linear.weight",
    "patch.weight",
]


def test_blocks_are_numbered_across_stacks_and_groups_run_from_input_to_output():
    assert GROUPING.groups(NAMES) == {
        "embedding": ["patch.weight"],
        "modulation": ["time.linear.weight"],
        "block00.modulation": ["double.0.table"],
        "block01.modulation": ["double.1.attn.norm.weight"],
        "block01.self_attention": ["double.1.attn.to_q.weight"],
        "block02.feed_forward": ["single.0.ff.weight"],
        "head": ["proj_out.weight"],
    }


def test_with_a_lora_only_its_parameters_are_grouped():
    lora = "double.1.attn.to_q.lora_A.default.weight"
    assert GROUPING.groups([*NAMES, lora]) == {"block01.self_attention": [lora]}


def test_blocks_beyond_ninety_nine_keep_their_order():
    names = [f"double.{n}.ff.weight" for n in (100, 9, 99)]
    order = ["block09.feed_forward", "block99.feed_forward", "block100.feed_forward"]
    assert list(GROUPING.groups(names)) == order
