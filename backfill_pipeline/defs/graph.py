"""A window's graph, composed from its list of steps: another order of steps is another list, not another pipeline.

Every op gets the records of the earlier steps that it names as inputs: input `deletion` comes from the op whose result is
a `Deletion`, and so on. The first op's inputs are the graph's: the gate and, for the lineage, the source tables.
"""

from collections.abc import Sequence

import dagster as dg

READY = "ready"


def step_graph(name: str, steps: Sequence[dg.OpDefinition]) -> dg.GraphDefinition:
    """A graph with the inputs of its first step, whose result is the last step's."""
    first, last = steps[0], steps[-1]
    return dg.GraphDefinition(
        name=name,
        node_defs=list(steps),
        dependencies=_between(steps),
        input_mappings=[_to_first(i, first.name) for i in first.input_dict],
        output_mappings=[_from_last(last.name)],
    )


def _between(steps: Sequence[dg.OpDefinition]) -> dict[str, dict[str, dg.DependencyDefinition]]:
    makers = {_record_name(op): op.name for op in steps}
    return {op.name: {i: dg.DependencyDefinition(makers[i]) for i in op.input_dict} for op in steps[1:]}


def _record_name(op: dg.OpDefinition) -> str:
    return str(op.output_dict["result"].dagster_type.typing_type.__name__).lower()


def _to_first(name: str, first: str) -> dg.InputMapping:
    return dg.InputMapping(graph_input_name=name, mapped_node_name=first, mapped_node_input_name=name)


def _from_last(last: str) -> dg.OutputMapping:
    return dg.OutputMapping(graph_output_name="result", mapped_node_name=last, mapped_node_output_name="result")
