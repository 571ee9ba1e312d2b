"""The command that opens the studio in a browser: `resgen studio`, or `python app.py`."""

import logging
import os
import shutil
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resgen.cli.common import Device, Folder, check_folder
from resgen.errors import ResGenError
from resgen.studio.memory import give_back

if TYPE_CHECKING:
    from resgen.studio.renderer import Renderer

GRACE = 4.0  # seconds that requests under way are given to end
EVERYWHERE = "0.0.0.0"  # what --host may be; nothing is bound to it here  # nosec B104
OUTSIDE = ("192.0.2.1", 9)  # an address that nobody has (RFC 5737)
TIDY_SECONDS = 10  # between two times that memory is given back, a fiftieth of a second each


def add_to(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog="Example: resgen studio --port 7860")(studio)


def studio(
    checkpoints: Folder = None,
    device: Device = "auto",
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 7860.", min=0, max=65535)] = None,
    share: Annotated[bool, typer.Option("--share", help="Also open a public link for a week.")] = False,
    mcp: Annotated[bool, typer.Option("--mcp", help="Also serve agents, by the Model Context Protocol.")] = False,
    public: Annotated[bool, typer.Option("--public", help="For strangers: smaller limits, and refused requests in the log.")] = False,
    limit: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Another limit, such as images=100; a wrong name lists all.")] = None,
    allow_import: Annotated[bool, typer.Option("--allow-import", help="Let visitors drop generators on the page; they stay in the folder.")] = False,
) -> None:
    """Open the studio: explore generators in the browser."""
    from resgen.budget import IMPORTING, OWN, PUBLIC

    if mcp and not find_spec("mcp"):
        raise ResGenError("Serving agents needs the package mcp: pip install -e '.[agents]' in ResGen's folder.")
    strangers = public or share or bool(os.environ.get("SPACE_ID"))  # the name of a Space, in a Space
    if allow_import and strangers:
        raise ResGenError(
            "Whoever opens a public page could fill the disk with --allow-import; bring generators by `resgen import`, and leave it out."
        )
    if not allow_import:  # which may begin with a folder that is not there yet
        check_folder(checkpoints)
    budget = (PUBLIC if strangers else IMPORTING if allow_import else OWN).with_limits(limit or ())

    from resgen.studio.temp_folder import own_place

    with _logging(logging.INFO if strangers else logging.ERROR), own_place() as place:
        from resgen.library import SHIPPED, Library
        from resgen.studio import zerogpu
        from resgen.studio.gradio_patches import import_gradio

        import_gradio()  # here, since it makes a folder
        from resgen.studio.app import build_on
        from resgen.studio.renderer import Renderer

        renderer = Renderer(Library(checkpoints or SHIPPED, zerogpu.device(device)), budget)
        demo = build_on(renderer, allow_import)
        try:
            demo.launch(server_name=host, server_port=port, share=share, mcp_server=mcp, prevent_thread_lock=True, quiet=True)
        except OSError as error:
            address = f"{host or '127.0.0.1'}:{port or '7860-7959'}"
            raise ResGenError(f"{address} is taken or cannot be listened on; choose another --port or --host.") from error
        typer.echo(f"Running on local URL: {demo.local_url}" + ("" if strangers else " (open it in a browser; --share adds a public link)"))
        if host == EVERYWHERE and (found := _address_here()):
            typer.echo(f"In this network: http://{found}:{demo.server_port}/ (open it so yourself, and its links open on other devices too)")
        _wait_for_the_end()
        _close(demo, renderer, place)


def _address_here() -> str:
    """This machine's address in its network, '' where it is in none: the one that it would send from; nothing is sent."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(OUTSIDE)
        return way.getsockname()[0]
    return ""


@contextmanager
def _logging(level: int) -> Generator[None]:
    """Requests that fail, one line each, on stderr."""
    handler, logger = logging.StreamHandler(), logging.getLogger("resgen.requests")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _wait_for_the_end() -> None:
    """Until the process is told to end, by Ctrl-C or whoever runs it; meanwhile memory that is free is given back."""
    told = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: told.set())
    for second in count():
        if told.wait(1.0):  # without end, Windows would not hear of Ctrl-C
            return
        if second % TIDY_SECONDS == 0:
            give_back()


def _close(demo: Any, renderer: "Renderer", place: Path) -> None:
    """End what is under way and the server; what does not end by then goes with the process."""

    def leave() -> None:
        shutil.rmtree(place, ignore_errors=True)
        os._exit(0)

    last = Timer(GRACE, leave)
    last.daemon = True
    last.start()
    renderer.turns.stop()
    demo.close(verbose=False)
