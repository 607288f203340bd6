"""torch.compile, tried out before it is relied on."""

from collections.abc import Callable
from typing import ParamSpec

import torch

from tn_runtime.errors import RequestError
from tn_train.loop import Losses

P = ParamSpec("P")


def compiled(
    forward: Callable[P, Losses], *arguments: P.args, **named: P.kwargs
) -> Callable[P, Losses]:
    """Return a compiled function, of which the forward and the backward pass have run once.

    Raises:
        RequestError: that does not work here.
    """
    fast = torch.compile(forward)
    try:
        fast(*arguments, **named).objective.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # compilers fail in many ways, none of them documented
        reason = str(error).strip().partition("\n")[0]
        raise RequestError(f"--compile does not work here, leave it out ({reason})") from error
    return fast
