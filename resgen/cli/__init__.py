"""The command line: each command builds a recipe or a configuration and hands it on.

Exit status 0 on success, 2 on bad input with one line on stderr.
"""

import sys

import typer

from resgen.cli import cards, exchange, pictures, studio, training
from resgen.errors import ResGenError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Explore image generators built from residual networks."
)
for theme in (pictures, studio, cards, exchange, training):
    theme.add_to(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error that a user can mend is one line and exit status 2."""
    try:
        app(arguments)
    except ResGenError as error:
        print(f"resgen: {error}", file=sys.stderr)
        sys.exit(2)
