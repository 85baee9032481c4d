"""Which kernels a plain and a sketched pass spend a GPU's time in.

Wan 2.1 1.3B, 17 frames, two clips a pass, random weights.

    python -m analyses.cost.gpu_profile
"""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, profile

from analyses.cost.gpu import SMALL
from analyses.cost.published import PUBLISHED, PublishedTask
from analyses.results_file import run_script, script_parser
from tqd_probe.core.library_logging import silence_libraries
from tqd_probe.gradients.sketch import DEFAULT_SIZE

MODEL = "Wan 2.1 T2V 1.3B"


def main() -> None:
    """Profile both passes and print their kernels, most time first."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--small", action="store_true", help="toy sizes")
    parser.add_argument("--rows", type=int, default=25, help="kernels to print")
    parser.add_argument("--exact-norms", action="store_true", help="a third pass")
    args = parser.parse_args()
    silence_libraries()
    cuda = torch.cuda.is_available()
    model = PUBLISHED[MODEL]
    changes = SMALL[model.kind] if args.small else {}
    network = model.network("cuda" if cuda else "cpu", **changes)
    latent = (2, 4, 4) if args.small else model.latent(17)
    task = PublishedTask(model, network, 2, latent, text=8 if args.small else 0)
    passes = {
        "plain": task.plain,
        "sketched": task.capturing(task.engine(DEFAULT_SIZE, pilot=False)),
    }
    if args.exact_norms:
        exact = task.engine(DEFAULT_SIZE, exact_norms=True, pilot=False)
        passes["exact norms"] = task.capturing(exact)
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    for name, action in passes.items():
        for _ in range(2):
            action()
        with profile(activities=kinds) as found:
            action()
            if cuda:
                torch.cuda.synchronize()
        print(name)
        print(
            found.key_averages().table(
                sort_by="self_cuda_time_total" if cuda else "self_cpu_time_total",
                row_limit=args.rows,
                max_name_column_width=60,
            )
        )


if __name__ == "__main__":
    run_script(main)
