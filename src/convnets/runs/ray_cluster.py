"""A bench whose runs are spread over a Ray cluster, each a task that writes its own run folder.

Nodes share the folder ``out`` and have this package. What travels is the image set, the recipe and
words of progress; results are the files that a bench on one machine would write, bit for bit.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from convnets.data import ImageSet
from convnets.errors import (
    Busy,
    ConvnetsError,
    EnvironmentFailure,
    TrainingFailed,
    described,
    repeated,
)
from convnets.recipes import Recipe
from convnets.records import EpochRecord, Result
from convnets.runs.grid import Bench, grid, in_order
from convnets.runs.observer import Observer
from convnets.runs.plan import Plan
from convnets.runs.run import Conduct, train
from convnets.runs.store import RunFolder
from convnets.training.engine import Engine, Precision, choose_engine
from convnets.training.stopping import StopFlag

OWN_CLUSTER = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all of it listens on loopback, on Linux too
    "RAY_worker_niceness": "0",  # a run of a bench is no background work
}
RETRIES = 2
POLL_SECONDS = 0.5
GRACE_SECONDS = 60.0


def bench_on_ray(
    models: Sequence[str],
    image_set: ImageSet,
    recipe: Recipe,
    *,
    seeds: Sequence[int] = (0,),
    out: Path | str = "runs",
    engine: Engine | None = None,
    conduct: Conduct | None = None,
    observer: Observer | None = None,
    gpus: float | None = None,
) -> Bench:
    """Train every network with every seed on the cluster at ``$RAY_ADDRESS``, or on this machine.

    Each run takes a GPU, or ``gpus`` of one, so that several share it, and on a CPU as many cores
    as it has threads. Finished runs are read, not repeated. A run whose process dies is started
    again, twice at the most, and goes on from its checkpoint; one that fails is reported and the
    others go on. Raises ``Stopped`` after a signal, once all runs are safe, and
    ``EnvironmentFailure`` without Ray.
    """
    engine, conduct = engine or choose_engine(), conduct or Conduct()
    observer = observer or Observer()
    if gpus is None:
        gpus = float(engine.device.type == "cuda")
    plans = grid(models, image_set, recipe, seeds)
    results: dict[str, Result] = {}
    for plan in plans:
        if (done := RunFolder(Path(out), plan).result()) is not None:
            observer.finished(plan, done, before=True)
            results[plan.run_name] = done
    left = [plan for plan in plans if plan.run_name not in results]
    if not left:
        return in_order(plans, results, ())
    with ExitStack() as cleanup:
        ray = started(cleanup)
        cluster = Cluster(ray, observer, left)
        order = Order(
            out=str(Path(out).absolute()),
            device=engine.device.type,
            precision=engine.precision,
            compiled=engine.compiled,
            graphs=engine.graphs,
            threads=torch.get_num_threads(),
            conduct=conduct,
        )
        cluster.submit(image_set, recipe, order, gpus)
        with StopFlag() as stop:
            failures = cluster.wait(results, stop)
    return in_order(plans, results, failures)


def started(cleanup: ExitStack) -> Any:
    """Ray, joined to ``$RAY_ADDRESS`` or started here: on loopback alone, no dashboard, a token."""
    own = not os.environ.get("RAY_ADDRESS")
    if own:  # before the import, which reads them
        for name, value in OWN_CLUSTER.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise EnvironmentFailure(
            f"--on ray needs what is not installed here ({error}); pip install 'convnets[cluster]'"
        ) from error
    try:
        ray.init(log_to_driver=False, **({"include_dashboard": False} if own else {}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EnvironmentFailure(f"Ray does not start: {error}") from error
    cleanup.callback(ray.shutdown)
    return ray


@dataclass(frozen=True)
class Order:
    """How each run is to be made, wherever its task comes to be."""

    out: str
    device: str
    precision: Precision
    compiled: bool
    graphs: bool
    threads: int
    conduct: Conduct


class Words(Observer):
    """Sends what a run has to say to whoever waits for it."""

    def __init__(self, queue: Any, name: str) -> None:
        self.queue, self.name = queue, name

    def started(self, plan: Plan, step: int, total_steps: int) -> None:
        self.queue.put((self.name, "started", (step, total_steps)))

    def epoch_done(self, plan: Plan, record: EpochRecord) -> None:
        self.queue.put((self.name, "epoch_done", record.model_dump()))

    def note(self, text: str) -> None:
        self.queue.put((self.name, "note", text))


def make_run(
    model: str, seed: int, image_set: ImageSet, recipe: Recipe, order: Order, words: Observer
) -> dict[str, Any]:
    """One task: make the run; return its result, or its error, as JSON holds them."""
    torch.set_num_threads(order.threads)
    try:
        result = train(
            model,
            image_set,
            recipe,
            seed=seed,
            out=order.out,
            engine=choose_engine(
                order.device, order.precision, compiled=order.compiled, graphs=order.graphs
            ),
            conduct=order.conduct,
            observer=words,
        )
    except ConvnetsError as error:
        return {"error": described(error)}
    return {"result": result.model_dump(mode="json")}


class Cluster:
    """The tasks of a bench's runs, and their words as they come."""

    def __init__(self, ray: Any, observer: Observer, plans: Sequence[Plan]) -> None:
        self.ray, self.observer = ray, observer
        self.plans = {plan.run_name: plan for plan in plans}
        queues: Any = importlib.import_module("ray.util.queue")
        self.words = queues.Queue(actor_options={"num_cpus": 0})
        self.tasks: dict[Any, Plan] = {}

    def submit(self, image_set: ImageSet, recipe: Recipe, order: Order, gpus: float) -> None:
        """Hand all runs to the cluster, which starts each where there is room for it."""
        task = self.ray.remote(make_run).options(
            num_gpus=gpus, num_cpus=order.threads, max_retries=RETRIES
        )
        images = self.ray.put(image_set)
        for name, plan in self.plans.items():
            words = Words(self.words, name)
            handle = task.remote(plan.model, plan.seed, images, recipe, order, words)
            self.tasks[handle] = plan

    def wait(self, results: dict[str, Result], stop: StopFlag) -> list[tuple[str, ConvnetsError]]:
        """Add each result as it comes; return the runs that failed."""
        failures: list[tuple[str, ConvnetsError]] = []
        while self.tasks:
            done, _ = self.ray.wait(list(self.tasks), timeout=POLL_SECONDS)
            self._listen()
            if stop.received is not None:
                self._cancel()
                raise stop.stopped(stop.received, "after a checkpoint of each run")
            for handle in done:
                plan = self.tasks.pop(handle)
                found = self._outcome(handle, plan)
                if isinstance(found, Result):
                    results[plan.run_name] = found
                    self.observer.finished(plan, found, before=False)
                elif isinstance(found, (Busy, TrainingFailed, EnvironmentFailure)):
                    self.observer.failed(plan, found)
                    failures.append((plan.run_name, found))
                else:
                    self._cancel()
                    raise found
        return failures

    def _outcome(self, handle: Any, plan: Plan) -> Result | ConvnetsError:
        try:
            found = self.ray.get(handle)
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            return EnvironmentFailure(f"{plan.run_name}: its process is gone: {reason}")
        return (
            repeated(found["error"]) if "error" in found else Result.model_validate(found["result"])
        )

    def _listen(self) -> None:
        """Pass on what the runs have said since."""
        for name, event, what in self.words.get_nowait_batch(self.words.qsize()):
            plan = self.plans[name]
            match event:
                case "started":
                    self.observer.started(plan, *what)
                case "epoch_done":
                    self.observer.epoch_done(plan, EpochRecord.model_validate(what))
                case "note":
                    self.observer.note(what)

    def _cancel(self) -> None:
        """Interrupt all runs, as Ctrl-C would, and wait until they are safe."""
        for handle in self.tasks:
            self.ray.cancel(handle, force=False)
        self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=GRACE_SECONDS)
