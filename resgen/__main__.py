"""`python -m resgen`."""

from resgen.cli import main

main()
