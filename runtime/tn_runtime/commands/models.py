"""tn-run models: the models that have a name."""

import json

from tn_runtime import console
from tn_runtime.commands.info import describe
from tn_runtime.commands.options import JsonOption


def models(json_: JsonOption = False) -> None:
    """List the models that can be named without a path."""
    from tn_runtime.session import shipped

    facts = [{**describe(path), "name": name} for name, path in shipped().items()]
    if json_:
        console.result(json.dumps(facts))
        return
    for each in facts:
        console.result(f"{each['name']:24} {each['kind']:10} {each['path']}")
    if not facts:
        console.note("no models are shipped with this installation; name a .onnx file")
