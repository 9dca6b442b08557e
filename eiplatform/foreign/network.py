"""Any torch module as a network that can be recorded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError, choose
from eiplatform.foreign.checks import (
    check_module,
    check_weights,
    find_neurons,
    returns_state,
    unwrapped,
)
from eiplatform.foreign.clock import TIMES, Asked, Time, infer_time, sequence_length, settle_time
from eiplatform.foreign.current import SIGN_RULES
from eiplatform.foreign.inputs import check_input, check_record, selecting, time_first
from eiplatform.foreign.keep import is_lazy, same_numbers, untouched
from eiplatform.foreign.look import look_at
from eiplatform.foreign.neurons import Neuron, reset
from eiplatform.foreign.operations import tensors_in
from eiplatform.foreign.plan import Structure
from eiplatform.foreign.recorder import Keeper
from eiplatform.foreign.report import Probe
from eiplatform.foreign.timeline import arrange, neuron_shape
from eiplatform.foreign.tracer import Event, Plain, Tracer
from eiplatform.foreign.witness import Witness
from eiplatform.networks.description import Pathway, PopulationInfo
from eiplatform.networks.network import Output

__all__ = ["ForeignNetwork"]


class ForeignNetwork(nn.Module):
    """A torch module that is run and recorded like a network of this package; ``eiplatform.foreign.adapt`` makes one.

    Attributes
    ----------
    module : nn.Module
        The module itself, unchanged.
    steps : int
        Time steps of a run when none are asked for.
    input_shape : tuple of int
        Shape of one input, without batch and time.
    interventions : tuple of dict
        What is being done to it.
    """

    interventions: tuple[Mapping[str, Any], ...] = ()

    def __init__(
        self,
        module: nn.Module,
        example_input: Tensor,
        *,
        time: str | None = None,
        time_axis: int | None = None,
        steps: int = 4,
        signs: str = "contribution",
        neurons: Mapping[str, Neuron] | None = None,
        forward: Callable[[nn.Module, Tensor], Any] | None = None,
        output: Callable[[Any], Tensor] | None = None,
        reset: Callable[[nn.Module], None] | None = None,
        carry: bool | None = None,
    ) -> None:
        super().__init__()
        module = unwrapped(module)
        check_module(module, example_input)
        self.module = module
        self.signs = choose(signs, SIGN_RULES, "sign rule", where="signs")
        self._declared = dict(neurons or {})
        self.neurons = find_neurons(module, self._declared)
        self._call = forward
        self._pick = output
        self._reset = reset
        self._carry = returns_state(module) if carry is None else carry
        self._example = example_input.detach()
        self._asked = Asked(time, time_axis, steps)
        if time is not None:
            choose(time, TIMES, "kind of time", where="time")
            if time == "sequence":
                sequence_length(example_input, time_axis or 0)
        self.refresh()

    def refresh(self) -> Probe:
        """Look at the module again, after its weights or its parts have changed."""
        check_weights(self.module)
        shown = copy.deepcopy(self.module) if is_lazy(self.module) else self.module
        real, self.module = self.module, shown
        try:
            if shown is not real:
                shown.eval()
                with torch.no_grad(), same_numbers():
                    self._call(shown, self._example) if self._call else shown(self._example)
            self._find_time()
            self._looked = look_at(self)
        finally:
            self.module = real
        return self.probe()

    def _find_time(self) -> None:
        self.time, self.time_axis, self.steps = "static", 0, 1  # while the module is looked at
        self.input_shape = tuple(self._example.shape[1:])
        named = type(self.module).__name__
        self.time, self.time_axis, self.steps = settle_time(
            self._example, self._asked, lambda: infer_time(self._example, self.neurons, self._once, named)
        )
        self.input_shape = tuple(self._example.shape[2 if self.time == "sequence" else 1 :])

    def _once(self, x: Tensor) -> Structure | None:
        """Show the module an input once; return what happened, None if it does not take it."""
        structure = Structure()
        tracer = self.tracer(lambda _: None, structure=structure, needed=frozenset())
        try:
            self.observed(x, 1, tracer)
        except (TypeError, RuntimeError, AttributeError, IndexError, ValueError, AssertionError, KeyError) as error:
            if x is not self._example or isinstance(error, EIPlatformError):
                if isinstance(error, EIPlatformError):
                    raise
                return None
            raise EIPlatformError(
                f"the module does not run on the example of shape {tuple(x.shape)}: {error}",
                where=type(self.module).__name__,
                remedy="forward=lambda module, x: ... says how it is called",
            ) from error
        return structure

    def tracer(self, emit: Callable[[Event], None], **options: Any) -> Tracer:
        """Return what follows the module."""
        return Tracer(self.module, self.neurons, self.signs, emit, **options)

    def observed(
        self, x: Tensor, steps: int, tracer: Tracer | None, tell: Callable[[int], None] | None = None
    ) -> list[Any]:
        """Return what the module returns for an example, in evaluation mode; all is as it was afterwards."""
        with same_numbers(0), untouched(self.module) as draws, torch.no_grad():
            self.module.eval()
            if tracer is None:
                outputs = self._outputs(x, steps)
            else:
                with tracer.following():
                    outputs = self._outputs(x, steps, tracer, tell)
        self.draws = draws.happened
        return outputs

    def probe(self) -> Probe:
        """Return what can be recorded, what cannot, and why."""
        infos = self.populations()
        looked = self._looked
        return Probe(type(self.module).__name__, self.time, self.steps, self.signs, infos, looked.paths, looked.missing)

    def populations(self) -> dict[str, PopulationInfo]:
        """Return all populations by name, in the order in which they are driven."""
        return {name: found.info for name, found in self._looked.found.items()}

    def pathways(self) -> tuple[Pathway, ...]:
        """Return the pathways: the positive and the negative weights of each set."""
        return self._looked.paths

    def forward(self, x: Tensor, steps: int | None = None) -> Tensor:
        """Return the logits, see :meth:`run`."""
        return self.run(x, steps).logits

    def run(
        self,
        x: Tensor,
        steps: int | None = None,
        record: Mapping[str, frozenset[str]] | None = None,
        state: None = None,
        keep: Callable[[str, str, Tensor], Tensor] | None = None,
        select: Mapping[str, Tensor] | None = None,
        time_axis: int | None = None,
    ) -> Output:
        """Run the module from rest; it is left in the state in which it was found.

        Parameters
        ----------
        x : Tensor, shape (B, *input_shape) or (T, B, *input_shape)
            Time comes first, whatever the module's own order of axes; `time_axis` says otherwise.
        steps : int, optional
            Time steps of a static input.
        record : mapping of str to frozenset of str, optional
            Signals to return per population.  Recording changes no result, not even in the
            last bit.
        state : None
            Foreign modules keep their own state and always start at rest.
        keep, select : optional
            As of :meth:`eiplatform.networks.network.Network.run`.
        time_axis : int, optional
            Axis of time in a sequence `x`: 0 or 1.

        Returns
        -------
        Output
            `logits` are the first tensor that the module returns, averaged over time where it
            has a time axis.

        Raises
        ------
        EIPlatformError
            If `x` or `steps` does not fit, or a module runs another number of times than the
            example showed.
        UnknownNameError
            For a population or signal that does not exist.
        SumRuleError
            If the parts do not make the current that the module computed.
        """
        if state is not None:
            raise EIPlatformError("a foreign network cannot start from a given state", where="state", valid="None")
        time = Time(self.time, self.time_axis, self.steps)
        x = time_first(x, time_axis, time=time, n_dims=len(self.input_shape))
        x, steps = check_input(x, steps, time=time, shape=self.input_shape)
        wanted = check_record(record or {}, self.populations())
        batch = x.shape[1 if self.time == "sequence" or x.ndim == len(self.input_shape) + 2 else 0]
        if not wanted:
            with untouched(self.module):
                return Output(self._logits(self._outputs(x, steps), steps, batch), {}, {})
        if self.module.training:
            raise EIPlatformError("the module is in training mode", where="recording", remedy="call .eval() first")
        if is_lazy(self.module):
            raise EIPlatformError(
                "the shape of some parameters is set by the first input",
                where=type(self.module).__name__,
                remedy="show it an input first: module(x)",
            )
        if select:
            keep = selecting(select, keep)
        looked = self._looked
        keeper = Keeper(
            looked.found,
            wanted,
            looked.recurrent,
            looped=self.time in ("steps", "static"),
            steps=steps,
            batch=batch,
            keep=keep,
        )
        needed = self._needed(wanted)
        tracer = self.tracer(keeper, labels=looked.labels, uses=looked.uses, states=looked.states, needed=needed)
        tracer.flow.trails = True
        witness = Witness(
            self.module,
            lambda: tracer.paused,
            states=looked.states,
            wanted=frozenset(weights for name in needed for weights in looked.weights_of.get(name, ())),
            all_of=looked.inside,
        )

        def check(name: str, event: Event) -> None:
            assert event.current is not None
            witness.check(event.current, name, tracer.weights_of)

        keeper.check = check
        with untouched(self.module), torch.no_grad(), tracer.following(), witness:
            outputs = self._outputs(x, steps, tracer, lambda step: setattr(keeper, "step", step), witness)
        signals = keeper.finish()
        return Output(self._logits(outputs, steps, batch), signals, {})

    # -- running

    def _outputs(
        self,
        x: Tensor,
        steps: int,
        tracer: Tracer | None = None,
        tell: Callable[[int], None] | None = None,
        witness: Witness | None = None,
    ) -> list[Any]:
        """Return what the module returns, once or step by step."""
        outputs = []
        sequence = x.ndim == len(self.input_shape) + 2
        with ExitStack() as stack:
            if tracer is None:
                stack.enter_context(Plain())
            reset(self.module)
            if self._reset is not None:
                self._reset(self.module)
            if tracer is not None:
                for name, neuron in self.neurons.items():
                    if neuron.switch is not None:
                        setattr(self.module.get_submodule(name), neuron.switch, True)
                tracer.begin()
            if witness is not None:
                witness.begin()
            carried: list[Any] = []
            for step in range(steps if self.time == "steps" else 1):
                if tell is not None:
                    tell(step)
                shown = x[step] if self.time == "steps" and sequence else x
                if self.time == "sequence" and self.time_axis == 1:
                    shown = shown.transpose(0, 1)
                shown = shown.clone() if tracer is None else tracer.shown(shown, step)
                if witness is not None:
                    witness.shown(shown)
                output = self._call(self.module, shown) if self._call else self.module(shown, *carried)
                if self._carry and self.time == "steps":
                    output, *carried = output
                if tracer is not None:
                    tracer.finish(output)
                outputs.append(output)
            if tracer is not None:
                tracer.end()
        return outputs

    def chosen(self, output: Any) -> Tensor:
        """Return the tensor that is read out, of what the module returned."""
        found = next(tensors_in(output), None) if self._pick is None else self._pick(output)
        if not isinstance(found, Tensor):
            raise EIPlatformError(
                f"the module returned {type(output).__name__}, which contains no tensor",
                where=type(self.module).__name__,
                remedy="output=... says which tensor of it to take",
            )
        return found

    def _logits(self, outputs: list[Any], steps: int, batch: int) -> Tensor:
        chosen = [self.chosen(output) for output in outputs]
        if self.time in ("steps", "static"):
            return chosen[0] if len(chosen) == 1 else torch.stack(chosen).mean(0)
        first, layout = chosen[0], self._looked.output
        if layout is None or not layout.has_time:
            return first
        return arrange(first, layout, steps, batch, neuron_shape(tuple(first.shape), layout)).mean(0)

    def example(self) -> Tensor:
        """Return the example with the axes that :meth:`run` takes."""
        x = self._example
        return x.transpose(0, 1) if self.time == "sequence" and self.time_axis == 1 else x

    def _needed(self, wanted: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """Return the weights whose parts some wanted current consists of."""
        return frozenset(
            term
            for name, signals in wanted.items()
            if any(signal.startswith("current_") for signal in signals)
            for term in self._looked.found[name].terms
        )
