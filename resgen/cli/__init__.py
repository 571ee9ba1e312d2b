"""The command line: each command builds a recipe or a configuration and hands it on.

Exit status 0 on success, 2 on bad input with one line on stderr.
"""

import sys
from typing import Annotated, Any

import typer

from resgen import __version__
from resgen.cli import cards, exchange, pictures, studio, training
from resgen.errors import FileError, ResGenError, enough_memory, why

UsageError: Any = typer.BadParameter.__base__  # what is said wrongly on the command line; typer gives it no name

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
for theme in (pictures, studio, cards, exchange, training):
    theme.add_to(app)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"resgen {__version__}")
        raise typer.Exit


@app.callback()
def _before_commands(
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.", callback=_tell_version, is_eager=True)] = False,
) -> None:
    """Explore image generators built from residual networks."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, or show what there is; an error that a user can mend is one line and exit status 2."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with enough_memory("ask for less at once, or close other programs"):
            status = app(words or ["--help"], standalone_mode=False)
        sys.exit(status or 0)
    except ResGenError as error:
        _tell(str(error))
    except UsageError as error:
        _tell(error.format_message())
    except OSError as error:  # of a name that cannot be, or a disk that fails, wherever it was met
        _tell(str(FileError(f"{error.filename or 'A file'} cannot be used: {error.strerror or why(error)}.")))
    except typer.Abort:
        sys.exit(130)  # as a shell tells of Ctrl-C
    sys.exit(2)


def _tell(sentence: str) -> None:
    print(f"resgen: {' '.join(sentence.split())}", file=sys.stderr)
