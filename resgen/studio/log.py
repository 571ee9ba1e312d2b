"""What goes wrong with a request, as one line of JSON each: for whoever runs the studio. A visitor is told its number and no more."""

import json
import logging
import secrets
import time
import traceback
from collections.abc import Mapping

LOGGER = logging.getLogger("resgen.requests")


def note_refusal(where: str, error: Exception) -> None:
    """A request that its sender can mend, and was told how."""
    _write(logging.INFO, {"event": "refused", "where": where, "error": type(error).__name__, "message": str(error)})


def note_failure(where: str, error: Exception) -> str:
    """A fault of the program; the number that it is found by in the log."""
    number = secrets.token_hex(4)
    told = {"event": "failed", "request": number, "where": where, "error": type(error).__name__, "message": str(error)[:2000]}
    _write(logging.ERROR, told | {"traceback": traceback.format_exception(error)})
    return number


def _write(level: int, told: Mapping[str, object]) -> None:
    LOGGER.log(level, "%s", json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **told}))  # ASCII alone: no codes that a terminal obeys
