"""Logging: a readable line per event on a terminal, a JSON object per line for machines; the same for libraries.

Neither holds secrets, full phone numbers, response bodies or the values of local variables.
"""

import logging
import re
import sys
import threading
from types import TracebackType
from typing import Literal

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["auto", "text", "json"]

OURS = ("sync", "dashboard")
HANDLER = "voice ledger"
NUMBER = re.compile(r"(?:\+|%2B)[1-9]\d{2,10}(\d{4})\b", re.IGNORECASE)  # E.164, also as part of an address
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # they move a terminal's cursor, or begin a line
READ_BY_PEOPLE = {"timestamp", "level", "event", "exception"}  # the sentence says what the other fields say
FIRST = ("timestamp", "level", "event", "logger")


def writes_json(form: LogFormat) -> bool:
    """Tell whether lines are JSON: `auto` writes for people when they look, which is on a terminal."""
    return form == "json" or (form == "auto" and not sys.stderr.isatty())


def configure(form: LogFormat) -> None:
    """Write to stderr, so that stdout stays free for answers. May be repeated."""
    described: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
    ]
    rendered = _json() if writes_json(form) else _text()
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(HANDLER)
    handler.addFilter(_is_worth_a_line)
    handler.setFormatter(ProcessorFormatter(processors=rendered, foreign_pre_chain=described))
    _be_the_only_one(handler)
    _take_over_tracebacks()
    structlog.configure(
        processors=[*described, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,  # a text; structlog's dict_tracebacks would add local variables
        ProcessorFormatter.remove_processors_meta,
        _mask_numbers,
        _escape_controls,
        _put_first,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _text() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _keep_the_sentence,
        ProcessorFormatter.remove_processors_meta,
        _mask_numbers,
        _escape_controls,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
    ]


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Libraries speak up only when something is wrong."""
    return _is_ours(record.name) or record.levelno >= logging.WARNING


def _is_ours(logger: str) -> bool:
    return logger.partition(".")[0] in OURS


def _keep_the_sentence(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave the fields to machines. Only of a library it helps to know who speaks."""
    kept = READ_BY_PEOPLE if _is_ours(event["logger"]) else READ_BY_PEOPLE | {"logger"}
    return {name: value for name, value in event.items() if name in kept or name.startswith("_")}


def _mask_numbers(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave four digits of phone numbers, which a library or the text of an exception may hold."""
    return {name: NUMBER.sub(r"…\1", value) if isinstance(value, str) else value for name, value in event.items()}


def _escape_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep each event to its line, whatever a caller's text that it quotes has in it; only tracebacks have several."""
    return {
        name: CONTROLS.sub(_escaped, value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _put_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {name: event[name] for name in FIRST if name in event} | dict(event)


def _take_over_tracebacks() -> None:
    """Let what nobody caught come out as a line, unless somebody else (a test runner) listens already."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell_of_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda args: _tell_of_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _tell_of_uncaught(kind: type[BaseException], exc: BaseException | None, at: TracebackType | None) -> None:
    if exc is None or not isinstance(exc, Exception):  # Ctrl-C, and a thread that was told to end
        sys.__excepthook__(kind, exc or kind(), at)
    else:
        structlog.get_logger("sync").error("An error in the program", exc_info=(kind, exc, at))


def _be_the_only_one(handler: logging.Handler) -> None:
    """Take the place of an earlier handler, and of those that libraries gave to their own loggers."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if each.name == HANDLER]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            hand_on(logger)


def hand_on(logger: logging.Logger) -> None:
    """Let a logger that writes to the console by itself write through the root's handler instead."""
    for handler in [each for each in logger.handlers if type(each) is logging.StreamHandler]:
        logger.removeHandler(handler)
        logger.propagate = True
