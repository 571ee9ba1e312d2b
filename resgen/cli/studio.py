"""The command that opens the studio in a browser: `resgen studio`, or `python app.py`."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from resgen.cli.common import Device
from resgen.errors import ResGenError


def add_to(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog="Example: resgen studio --port 7860")(studio)


def studio(
    checkpoints: Annotated[Path | None, typer.Option(help="Folder with checkpoints; default: the shipped ones.")] = None,
    device: Device = "auto",
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 7860.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Also open a public link for a week.")] = False,
    mcp: Annotated[bool, typer.Option("--mcp", help="Also serve agents, by the Model Context Protocol.")] = False,
    allow_import: Annotated[bool, typer.Option("--allow-import", help="Let visitors drop generators on the page; they stay in the folder.")] = False,
) -> None:
    """Open the studio: explore generators in the browser."""
    from resgen.library import SHIPPED
    from resgen.studio.app import build, launch_options

    if mcp and not find_spec("mcp"):
        raise ResGenError("Serving agents needs the package mcp; install it with: pip install 'resgen[agents]'.")
    if allow_import and (share or os.environ.get("SPACE_ID")):  # the name of a Space, in a Space
        raise ResGenError(
            "Whoever opens a public page could fill the disk with --allow-import; bring generators by `resgen import`, and leave it out."
        )
    demo = build(checkpoints or SHIPPED, device, allow_import)
    try:
        demo.launch(server_name=host, server_port=port, share=share, mcp_server=mcp, **launch_options(allow_import))
    except OSError as error:
        address = f"{host or '127.0.0.1'}:{port or '7860-7959'}"
        raise ResGenError(f"{address} is taken or cannot be listened on; choose another --port or --host.") from error
