"""What a pass costs where its kernels take no time: a GPU that waits for launches.

Wan 2.1 1.3B with all its 30 blocks, each one head wide, on clips of 4 tokens: nearly
all of the time is spent in Python and in torch's dispatch, as it is before every launch
on a GPU. One core, float32, two clips; the least of `--repeat` turns.

    chrt -f 50 taskset -c 0 python -m analyses.cost.launch_overhead
    chrt -f 50 taskset -c 0 python -m analyses.cost.launch_overhead --compiled
"""

from __future__ import annotations

import time

import torch

from analyses.cost.gpu import SMALL
from analyses.cost.published import PUBLISHED, PublishedTask
from analyses.results_file import run_script, script_parser
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.gradients.sketch import DEFAULT_SIZE

MODEL = "Wan 2.1 T2V 1.3B"


def main() -> None:
    """Time plain, floor and sketched passes in turn and print their least times."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--repeat", type=int, default=20, help="turns")
    parser.add_argument(
        "--compiled", action="store_true", help="compiled blocks too; half a minute"
    )
    args = parser.parse_args()
    silence_libraries()
    torch.set_num_threads(1)
    model = PUBLISHED[MODEL]
    changes = {**SMALL[model.kind], "num_layers": 30}
    network = model.network("cpu", **changes).float()
    task = PublishedTask(model, network, 2, (1, 4, 4), text=8)
    task.x, task.target = task.x.float(), task.target.float()
    task.inputs = {key: value.float() for key, value in task.inputs.items()}
    actions = {
        "plain": task.plain,
        "floor": task.floor,
        "sketched": task.capturing(task.engine(DEFAULT_SIZE, pilot=False)),
    }
    if args.compiled:
        engine = task.engine(DEFAULT_SIZE, pilot=False, compiled=True)
        actions["sketched, compiled"] = task.capturing(engine)
        actions["sketched, compiled"]()  # the first pass compiles
    least = dict.fromkeys(actions, float("inf"))
    for _ in range(args.repeat):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            least[name] = min(least[name], time.perf_counter() - began)
    for name, seconds in least.items():
        print(f"{name} {1e3 * seconds:.0f} ms, {seconds / least['plain']:.2f} of plain")


if __name__ == "__main__":
    run_script(main)
