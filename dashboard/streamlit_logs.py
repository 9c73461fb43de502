"""Streamlit's own log: it goes the way of ours, so that a log for machines is JSON on every line."""

import logging

from streamlit import logger as streamlits

from sync import logs


def hand_on() -> None:
    """Keep Streamlit from giving its loggers, also later ones, handlers of their own. May be repeated.

    It has no setting for this: `logger.messageFormat` is a pattern, which cannot make JSON of a text.
    """
    for logger in streamlits._loggers.values():
        _hand_on(logger)
    streamlits.setup_formatter = _hand_on


def _hand_on(logger: logging.Logger) -> None:
    logs.hand_on(logger)
    logger.propagate = True  # without a handler of its own, too
