"""The training loop: a run that yields one record a step and knows nothing of its display."""

from __future__ import annotations

import copy
import math
import sys
import threading
import time
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.common.devices import resolve_device
from lolora_core.common.names import near_names
from lolora_core.training.methods import Method, resolve_method
from lolora_core.training.records import DivergedError, Record, Snapshot
from lolora_core.training.tasks import resolve_task
from lolora_core.training.tasks.base import SPLITS, Data, Split, Task

__all__ = ["Run", "fine_tune"]

WARM_UP = 0.05
CLIP = 1.0
DIVERGED = 1e6
# torch's default generator belongs to the whole process: one run at a time may borrow it.
_BORROWED = threading.Lock()


class Run:
    """One method on one task, made by `fine_tune`; iterating over it trains, one `Record` a step.

    AdamW without weight decay (it would pull full fine-tuning towards zero weights, but adapters
    towards the base), a linear warm-up over the first 5 % of the steps, then a cosine to 0;
    gradients are clipped to norm 1. LoRA+ has every B learn at a multiple of the rate. The order of
    the examples follows from the seed alone, so it is the same for every method. On the CPU in one
    thread the same arguments give the same numbers, bit for bit. Nothing here uses torch's global
    generator once the run has started, so runs in several threads do not disturb each other. Call
    its methods between steps.

    Attributes
    ----------
    model : nn.Module
        The model in training, adapters included.
    size : str
        What a method was given to fit the budget where that is no rank of a family, as "b = 7".
    share : float
        Of the budget that such a method spends; else NaN.
    records : list of Record
    step : int
        The last step that is recorded; -1 before the first.
    last_good : Snapshot or None
        Taken at the last evaluation before the run diverged.
    best : Snapshot or None
        Taken at the evaluation with the least loss, the first of equals: where early stopping on
        `split` would have stopped. After `restore`, of what came before.
    error : DivergedError or None
        Why the run ended, where it diverged.
    """

    def __init__(
        self,
        task: Task,
        method: Method,
        *,
        steps: int,
        lr: float,
        seed: int,
        device: torch.device,
        evaluate_every: int,
        split: Split,
    ) -> None:
        self.task, self.method, self.steps, self.lr = task, method, steps, lr
        self.seed, self.device = seed, device
        self.evaluate_every, self.split = evaluate_every, split
        devices = [self.device] if self.device.type == "cuda" else []
        with _BORROWED, torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            self.problem = self.task.build(seed).to(self.device)
            attached = self.method.attach(self.problem, seed)
        self.model, self.parameters, self._deltas, self.size, self.share, scales = attached
        by_scale: dict[float, list[Tensor]] = {}
        for parameter in self.parameters:
            by_scale.setdefault(scales.get(parameter, 1.0), []).append(parameter)
        # AdamW refuses to have no group, and a frozen base without a head trains nothing.
        groups = by_scale or {1.0: [torch.zeros(0, device=self.device)]}
        self._optimizer = torch.optim.AdamW(
            [{"params": group, "lr_scale": scale} for scale, group in groups.items()],
            lr=self.lr,
            weight_decay=0.0,
            fused=True,
        )
        self._precision = torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=self.device.type == "cuda" and self.task.mixed_precision,
        )
        data = self.problem.splits["train"]
        self.batch = min(self.task.batch, len(data.inputs))
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)
        self._seconds, self._closed = 0.0, False
        self.records: list[Record] = []
        self.step = -1
        self.last_good: Snapshot | None = None
        self.best: Snapshot | None = None
        self._best_loss = math.inf
        self.error: DivergedError | None = None

    @property
    def num_parameters(self) -> int:
        """Trainable parameters, those of the head included."""
        return sum(parameter.numel() for parameter in self.parameters)

    @property
    def finished(self) -> bool:
        """Whether no further record will come."""
        return self._closed or self.error is not None or self.step >= self.steps

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        if self.finished:
            raise StopIteration
        step = self.step + 1
        evaluated = step % self.evaluate_every == 0 or step == self.steps
        try:
            train_loss = self._train(step) if step else None
            eval_loss, metric = self.evaluate(self.split) if evaluated else (None, None)
            delta_norm = self.delta_norm() if evaluated else None
        except torch.OutOfMemoryError as error:
            raise MemoryError(f"{self.device} ran out of memory at step {step}") from error
        self._stop_if_diverged(step, train_loss, eval_loss)
        self.step = step
        if eval_loss is not None:
            self.last_good = self.snapshot()
            if self.best is None or eval_loss < self._best_loss:
                self.best, self._best_loss = self.last_good, eval_loss
        record = Record(
            step=step,
            train_loss=train_loss,
            eval_loss=eval_loss,
            metric=metric,
            delta_norm=delta_norm,
            seconds=self._seconds,
            samples_per_second=step * self.batch / self._seconds if step else 0.0,
            memory_bytes=self._memory(),
        )
        self.records.append(record)
        return record

    def _stop_if_diverged(self, step: int, *losses: float | None) -> None:
        for loss in losses:
            if loss is not None and not loss <= self._limit(loss):
                self.error = DivergedError(loss, step)
                raise self.error

    def _limit(self, loss: float) -> float:
        first = self.records[0].eval_loss if self.records else loss
        assert first is not None
        return min(DIVERGED * max(first, 1.0), sys.float_info.max)

    def _train(self, step: int) -> float:
        began = time.perf_counter()
        data, chosen = self.problem.splits["train"], self._batch(step)
        with torch.enable_grad(), self._precision:
            loss = self.problem.loss(self.model(data.inputs[chosen]), data.targets[chosen])
        value = float(loss.detach())
        if self.parameters and math.isfinite(value):
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
            for group in self._optimizer.param_groups:
                group["lr"] = group["lr_scale"] * self.lr * _schedule(step, self.steps)
            self._optimizer.step()
        self._seconds += time.perf_counter() - began
        return value

    def _batch(self, step: int) -> Tensor:
        examples = len(self.problem.splits["train"].inputs)
        epoch, at = divmod(step - 1, examples // self.batch)
        if epoch != self._epoch:
            # A generator for each epoch: the order at a step needs no history to be repeated.
            generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**63)
            order = torch.randperm(examples, generator=generator)
            self._epoch, self._order = epoch, order.to(self.device)
        return self._order[at * self.batch : (at + 1) * self.batch]

    def evaluate(self, split: Split | Data, at: Snapshot | None = None) -> tuple[float, float]:
        """Return loss and metric over a whole split or other data, in float32.

        With `at`, as the model was when that snapshot was taken.
        """
        data = self.problem.splits[split] if isinstance(split, str) else split
        if at is None:
            return self.problem.score(data)
        now = [parameter.detach().clone() for parameter in self.parameters]
        self._set(at.parameters)
        try:
            return self.problem.score(data)
        finally:
            self._set(now)

    @torch.no_grad()
    def _set(self, values: Iterable[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    @torch.no_grad()
    def deltas(self) -> dict[str, Float[Tensor, "m n"]]:
        """Return ΔW of every adapted module by its name, on the device of the run."""
        return self._deltas()

    def delta_norm(self) -> float:
        """Return (Σ ‖ΔW‖²_F)^½ over all adapted modules; every dense ΔW is built for it."""
        norms = [delta.norm() for delta in self.deltas().values()]
        return float(torch.stack(norms).norm())

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that training changes."""
        parameters = tuple(parameter.detach().clone() for parameter in self.parameters)
        state = copy.deepcopy(self._optimizer.state_dict())
        return Snapshot(self.step, parameters, state, self._seconds)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this run; later records are dropped, and it can go on."""
        self._set(snapshot.parameters)
        self._optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
        self.step, self._seconds, self.error = snapshot.step, snapshot.seconds, None
        self.records = [record for record in self.records if record.step <= snapshot.step]
        if self.best is not None and self.best.step > snapshot.step:
            self.best = snapshot
        if self.best is not None:
            at = self.best.step
            losses = [record.eval_loss for record in self.records if record.step == at]
            self._best_loss = next((loss for loss in losses if loss is not None), math.inf)

    def close(self) -> None:
        """End the run; model and records stay."""
        self._closed = True

    def _memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        states = self._optimizer.state.values()
        held = [v for state in states for v in state.values() if isinstance(v, Tensor)]
        held += [g for p in self.parameters for g in (p, p.grad) if g is not None]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of 1 or more; it is {value!r}")
    return value


def _schedule(step: int, steps: int) -> float:
    """Return the factor on the learning rate at step 1…steps."""
    warm_up = max(1, round(WARM_UP * steps))
    if step <= warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up + 1)))


def fine_tune(
    task: str | Task,
    method: str | Method,
    *,
    steps: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    evaluate_every: int | None = None,
    split: Split = "validation",
) -> Run:
    """Train `method` on `task`: iterate over what is returned, one record a step.

    Nothing is trained before the first record is asked for, and closing stops it.

    Parameters
    ----------
    task : str or Task
        A name in `TASKS`.
    method : str or Method
        A name in `METHODS`, or one with a rank and grid of its own.
    steps : int, optional
        The task's own number by default (400; fewer where a step is slow).
    lr : float, optional
        Peak learning rate; by default from the table `LEARNING_RATES`.
    seed : int
        Draws the training examples, their order and the factors at the start.
    device : str or torch.device
        "auto" is cuda, then mps, then cpu.
    evaluate_every : int, optional
        Steps from one evaluation to the next; by default as many as
        give `Task.evaluations`.
    split : {"train", "validation", "test"}
        What is evaluated.

    Returns
    -------
    Run
        An iterator of `Record`, the first one of step 0, before any update.

    Raises
    ------
    ValueError
        An argument that is not allowed; the message says what is.
    DivergedError
        While iterating: the loss became NaN, infinite or a million times its start.

    References
    ----------
    AdamW: arXiv 1711.05101.

    Examples
    --------
    >>> for record in fine_tune("digits-rotated", "frozen", steps=2, device="cpu"):
    ...     print(record.step, record.delta_norm)
    0 0.0
    1 0.0
    2 0.0
    >>> run = fine_tune("digits-rotated", "full", steps=2, device="cpu")
    >>> [record.step for record in run], sorted(run.deltas())
    ([0, 1, 2], ['fc1', 'fc2'])
    """
    chosen, adapted = resolve_task(task), resolve_method(method)
    steps = _positive("steps", chosen.steps if steps is None else steps)
    rate = adapted.learning_rate(chosen.name) if lr is None else lr
    if not (isinstance(rate, int | float) and 0 < rate < math.inf):
        raise ValueError(f"lr must be a positive number; it is {lr!r}")
    if evaluate_every is None:
        evaluate_every = max(1, steps // chosen.evaluations)
    if split not in SPLITS:
        raise ValueError(near_names(split, SPLITS, "split"))
    return Run(
        chosen,
        adapted,
        steps=steps,
        lr=rate,
        seed=seed,
        device=resolve_device(device),
        evaluate_every=_positive("evaluate_every", evaluate_every),
        split=split,
    )
