"""Other ways to per-clip gradients, on the same Wan transformer, clips and task.

Part of `probe_cost.py`; run there with the Python of an environment that has the peers
(see analyses/README.md). The task: the gradients of 4 clips of a diffusers Wan
transformer (width 384, 2 blocks, 1,024 tokens), each reduced to about 4,096 numbers,
their norms, and all their dot products. Every peer runs in turn with us in one process.

    python -m analyses.cost.peers --list
    python -m analyses.cost.peers --peer opacus
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from analyses.cost.peer_task import CLIPS, SIZE, Answer, Setting, ours
from analyses.results_file import run_script, script_parser

BUDGET = 45.0  # seconds of repetitions of one peer


def vmap(setting: Setting) -> Callable[[], Answer]:
    """`torch.func`: vmap of grad."""
    values = {n: p.detach() for n, p in setting.network.named_parameters()}
    grads = torch.func.vmap(torch.func.grad(setting.one), (None, 0, 0, 0, 0))
    return lambda: setting.reduce(grads(values, *setting.batch()))


def func_loop(setting: Setting) -> Callable[[], Answer]:
    """`torch.func.grad`, clip by clip."""
    values = {n: p.detach() for n, p in setting.network.named_parameters()}
    grad = torch.func.grad(setting.one)

    def answer() -> Answer:
        rows = [grad(values, *clip) for clip in zip(*setting.batch())]
        return setting.reduce({n: torch.stack([r[n] for r in rows]) for n in values})

    return answer


def autograd_loop(setting: Setting) -> Callable[[], Answer]:
    """Ordinary backward passes of one clip each."""

    def answer() -> Answer:
        named = dict(setting.network.named_parameters())
        for parameter in named.values():
            parameter.requires_grad_(True)
        rows = []
        for x, t, text, target in zip(*setting.batch()):
            out = setting.network(x[None], t[None], text[None], return_dict=False)[0]
            loss = (out - target).square().mean()
            rows.append(torch.autograd.grad(loss, list(named.values())))
        return setting.reduce(
            {n: torch.stack([row[i] for row in rows]) for i, n in enumerate(named)}
        )

    return answer


def opacus(setting: Setting) -> Callable[[], Answer]:
    """Opacus' hooks; it refuses blocks with bare parameters, so these are left out."""
    from opacus import GradSampleModule

    for name, parameter in setting.network.named_parameters():
        parameter.requires_grad_("scale_shift_table" not in name)
    setting.network.train()  # its hooks rest in evaluation; a Wan has no dropout
    wrapped = GradSampleModule(setting.network, loss_reduction="sum", strict=False)

    def answer() -> Answer:
        for name, parameter in setting.network.named_parameters():
            parameter.grad = None
            parameter.grad_sample = None
            parameter.requires_grad_("scale_shift_table" not in name)
        x, t, text, target = setting.batch()
        out = wrapped(x, t, text, return_dict=False)[0]
        (out - target).square().flatten(1).mean(1).sum().backward()
        named = {
            n: p.grad_sample
            for n, p in setting.network.named_parameters()
            if p.grad_sample is not None
        }
        return setting.reduce(named)

    return answer


def backpack(setting: Setting) -> Callable[[], Answer]:
    """BackPACK's first-order extension."""
    from backpack import backpack as extensions
    from backpack import extend
    from backpack.extensions import BatchGrad

    network = extend(setting.network)

    def answer() -> Answer:
        for parameter in network.parameters():
            parameter.requires_grad_(True)
            parameter.grad = None
        x, t, text, target = setting.batch()
        with extensions(BatchGrad()):
            out = network(x, t, text, return_dict=False)[0]
            (out - target).square().flatten(1).mean(1).sum().backward()
        missing = [
            n for n, p in network.named_parameters() if not hasattr(p, "grad_batch")
        ]
        if missing:
            raise RuntimeError(
                f"no grad_batch for {len(missing)} parameters: {missing[:2]}"
            )
        return setting.reduce({n: p.grad_batch for n, p in network.named_parameters()})

    return answer


def trak(setting: Setting) -> Callable[[], Answer]:
    """TRAK's functional gradients and its projector for CPUs (dense, in blocks)."""
    from trak.gradient_computers import FunctionalGradientComputer
    from trak.modelout_functions import AbstractModelOutput
    from trak.projectors import BasicProjector, ProjectionType

    class Loss(AbstractModelOutput):
        def __init__(self) -> None:
            pass

        @staticmethod
        def get_output(model: Any, weights: Any, buffers: Any, *clip: Any) -> Any:
            return setting.one({**weights, **buffers}, *clip)

        def get_out_to_loss_grad(self, *arguments: Any) -> Any:
            return None

    computer = FunctionalGradientComputer(
        setting.network, Loss(), setting.layout.size, torch.float32, torch.device("cpu")
    )
    projector = BasicProjector(
        setting.layout.size,
        SIZE,
        0,
        ProjectionType.rademacher,
        "cpu",
        dtype=torch.float32,
    )

    def answer() -> Answer:
        found = computer.compute_per_sample_grad(setting.batch())
        flat = torch.cat([value.detach().flatten(1) for value in found.values()], 1)
        products = flat @ flat.t()
        return projector.project(flat, 0), products.diagonal().sqrt(), products

    return answer


def dattri(setting: Setting) -> Callable[[], Answer]:
    """Dattri's task (vmap of grad) and its random projection."""
    from dattri.func.projection import random_project
    from dattri.task import AttributionTask

    def loss(values: dict[str, torch.Tensor], clip: Any) -> torch.Tensor:
        return setting.one(values, *clip)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(setting.network.state_dict(), path)
        task = AttributionTask(loss, setting.network, str(path))
        gradient = task.get_grad_loss_func(in_dims=(None, 0))
        values, _ = task.get_param(layer_split=False)

    def answer() -> Answer:
        found = gradient(values, setting.batch())
        flat = (
            torch.cat([v.flatten(1) for v in found.values()], 1)
            if isinstance(found, dict)
            else found
        ).detach()
        project = random_project(
            flat, CLIPS, SIZE, 8, proj_type="rademacher", device="cpu"
        )
        products = flat @ flat.t()
        return project(flat), products.diagonal().sqrt(), products

    return answer


def kronfluence(setting: Setting) -> Callable[[], Answer]:
    """Kronfluence's pairwise scores without curvature: products of Linear layers."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task as KronTask

    class Losses(KronTask):
        def compute_train_loss(
            self, batch: Any, model: Any, sample: bool = False
        ) -> Any:
            x, t, text, target = batch
            out = model(x, t, text, return_dict=False)[0]
            return (out - target).square().flatten(1).mean(1).sum()

        def compute_measurement(self, batch: Any, model: Any) -> Any:
            return self.compute_train_loss(batch, model)

    task = Losses()
    network = prepare_model(setting.network, task)
    folder = tempfile.mkdtemp()
    analyzer = Analyzer(
        "probe",
        network,
        task,
        cpu=True,
        output_dir=folder,
        disable_tqdm=True,
        disable_model_save=True,
    )
    data = torch.utils.data.TensorDataset(*setting.batch())
    identity = FactorArguments(strategy="identity")
    analyzer.fit_all_factors(
        "identity", data, CLIPS, factor_args=identity, overwrite_output_dir=True
    )

    def answer() -> Answer:
        analyzer.compute_pairwise_scores(
            "pairs",
            "identity",
            data,
            data,
            CLIPS,
            CLIPS,
            score_args=ScoreArguments(),
            overwrite_output_dir=True,
        )
        products = analyzer.load_pairwise_scores("pairs")["all_modules"]
        return torch.zeros(0), products.diagonal().sqrt(), products

    return answer


def bergson(setting: Setting) -> Callable[[], Answer]:
    """Bergson's collector, two-sided projection; inputs must have three axes."""
    from bergson.collector.gradient_collectors import GradientCollector
    from bergson.config import IndexConfig
    from bergson.gradients import GradientProcessor
    from datasets import Dataset

    chosen = {
        name
        for name, module in setting.network.named_modules()
        if isinstance(module, nn.Linear) and ".time_" not in name
    }
    side = int((SIZE / len(chosen)) ** 0.5)
    with tempfile.TemporaryDirectory() as folder:
        config = IndexConfig(run_path=folder + "/run")
    data = Dataset.from_dict({"input_ids": [[0]] * CLIPS})

    def answer() -> Answer:
        for parameter in setting.network.parameters():
            parameter.requires_grad_(True)
            parameter.grad = None
        collector = GradientCollector(
            model=setting.network,
            target_modules=chosen,
            processor=GradientProcessor(projection_dim=side),
            data=data,
            cfg=config,
            skip_index=True,
        )
        collector.teardown = lambda: None
        with collector:
            setting.task.losses().sum().backward()
        features = torch.cat(
            [value.flatten(1) for value in collector.mod_grads.values()], 1
        )
        products = features @ features.t()
        return features, products.diagonal().sqrt(), products

    return answer


PEERS = {
    each.__name__: each
    for each in (
        autograd_loop,
        func_loop,
        vmap,
        opacus,
        backpack,
        trak,
        dattri,
        kronfluence,
        bergson,
    )
}


def measure(name: str, repetitions: int) -> dict[str, Any]:
    """Run a peer in turn with us."""
    right = autograd_loop(Setting())()[2].double()
    mine, setting = Setting(), Setting()
    modes: dict[str, Callable[[], Answer]] = {
        "plain": lambda: mine.task.plain(),  # type: ignore[dict-item]
        "ours": ours(mine, False),
        "ours_exact_norms": ours(mine, True),
        name: PEERS[name](setting),
    }
    found: dict[str, Any] = {"what": (PEERS[name].__doc__ or "").strip()}
    began = time.perf_counter()
    answer = modes[name]()
    once = time.perf_counter() - began
    error = (answer[2].double() - right).norm() / right.norm()
    found["products_relative_error"] = float(error)
    found["numbers"] = int(answer[0].shape[-1])
    repetitions = max(1, min(repetitions, int(BUDGET / once)))
    times: dict[str, list[float]] = {key: [] for key in modes}
    for key, action in modes.items():
        if key != name:
            action()
    for _ in range(repetitions):
        for key, action in modes.items():
            began = time.perf_counter()
            action()
            times[key].append(time.perf_counter() - began)
    found["repetitions"] = repetitions
    found["seconds"] = {key: median(values) for key, values in times.items()}
    for base in ("ours", "ours_exact_norms", "plain"):
        ratio = median(b / a for a, b in zip(times[base], times[name]))
        found[f"over_{base}"] = ratio
    return found


def main() -> None:
    """Run one peer, or list them."""
    parser = script_parser(__file__, __doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--peer", choices=PEERS)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.list:
        print("\n".join(PEERS))
        return
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    print(json.dumps(measure(options.peer, options.repeat)))


if __name__ == "__main__":
    run_script(main)
