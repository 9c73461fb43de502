"""Streamlit's own log: it goes the way of ours, so that a log for machines is JSON on every line."""

import logging
import re

from streamlit import logger as streamlits

from sync import logs

SIGN_INS = "streamlit.web.server.starlette.starlette_auth_routes"
CODE = re.compile("[a-z_]+")  # such as invalid_client: the provider's word for what is wrong


def hand_on() -> None:
    """Keep Streamlit from giving its loggers, also later ones, handlers of their own. May be repeated.

    It has no setting for this: `logger.messageFormat` is a pattern, which cannot make JSON of a text.
    """
    for logger in streamlits._loggers.values():
        _hand_on(logger)
    streamlits.setup_formatter = _hand_on
    logging.getLogger(SIGN_INS).addFilter(_tell_in_a_line)


def _hand_on(logger: logging.Logger) -> None:
    logs.hand_on(logger)
    logger.propagate = True  # without a handler of its own, too


def _tell_in_a_line(record: logging.LogRecord) -> bool:
    """Leave of a sign-in that failed what kind of failure it was: anybody can cause it, and have part of its text."""
    if record.exc_info and record.exc_info[1]:
        exc = record.exc_info[1]
        code = str(getattr(exc, "error", ""))
        record.msg = f"{record.getMessage()} ({code if CODE.fullmatch(code) else type(exc).__name__})"
        record.args, record.exc_info = (), None
    return True
