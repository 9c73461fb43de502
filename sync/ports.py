"""Ports of this machine: which are taken, by whom, and one that is free."""

import socket
from dataclasses import dataclass

import psutil

THIS_MACHINE = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """The program that listens on a port."""

    pid: int
    name: str


def is_taken(port: int) -> bool:
    """Tell whether somebody listens there, under any address that `localhost` may mean, or holds it otherwise."""
    try:
        with socket.create_connection(("localhost", port), timeout=1):
            return True
    except OSError:
        pass
    try:
        with socket.create_server((THIS_MACHINE, port)):
            return False
    except OSError:
        return True


def free_port() -> int:
    with socket.create_server((THIS_MACHINE, 0)) as listener:
        return int(listener.getsockname()[1])


def listener_on(port: int) -> Listener | None:
    """Return who listens there; None where the system does not say, as it may not about programs of other users."""
    try:
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return Listener(pid=each.pid, name=psutil.Process(each.pid).name())
    except psutil.Error:
        pass
    return None
