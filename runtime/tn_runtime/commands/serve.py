"""tn-run serve: the page to play on, served on this machine.

Heavy imports stay inside the command, so that --help answers at once.
"""

import contextlib
import socket
import sys
import threading
from typing import Annotated

import typer

from tn_runtime import console
from tn_runtime.commands.options import ProviderOption
from tn_runtime.errors import RequestError

LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 256
GRACE = 5
"""Seconds that requests have left when the server is ended."""


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes one that is free.")
    ] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than the default let others in.")
    ] = LOOPBACK,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    provider: ProviderOption = "auto",
) -> None:
    """Open a page to play on: endless canvas, tileable pictures, photos in a style.

    It runs until Ctrl-C. It answers to this machine alone, unless --host says otherwise.
    """
    import webbrowser

    import fastapi  # noqa: F401 - a missing extra is said before anything else
    import uvicorn

    from tn_runtime.serve.app import create_app

    app = create_app(provider, None if host in {LOOPBACK, "localhost"} else ["*"])
    with _listening(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}/"
        console.result(f"{url} (Ctrl-C ends it)")
        sys.stdout.flush()
        config = uvicorn.Config(
            app,
            log_level="warning",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
        )
        if browser:  # the listener lets it wait until the server has started
            threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=_family(host))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(
            f"{host}, port {port} cannot be listened on: {reason}; --port 0 takes a free port"
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
