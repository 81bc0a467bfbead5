"""A door that ends while clients use it: none of their requests goes without an answer."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from authctl import Registry
from tests import places
from tests.door.conftest import start_door, stop_door


@pytest.mark.parametrize("is_used", [False, True], ids=["nothing sent yet", "one request answered"])
def test_an_open_connection_has_one_more_answer(home: Path, tmp_path: Path, is_used: bool):
    """A request that is on its way when SIGTERM comes is answered, and the client is told that it is the last one."""
    door = start_door(home, tmp_path)
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)) as connection:
        connection.connect()
        if is_used:
            connection.request("GET", "/health/live")
            assert connection.getresponse().read()
        else:
            assert door.send("GET", "/health/live").status == 200  # so that the first connection is accepted
        door.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert stop_door(door) == 0


def test_idle_connections_hold_the_end_up_for_a_second(home: Path, tmp_path: Path):
    """Not for the thirty seconds of a connection that is kept."""
    door = start_door(home, tmp_path)
    with socket.create_connection(("127.0.0.1", door.port)) as idle:
        assert door.send("GET", "/health/live").status == 200
        begun = time.monotonic()
        assert stop_door(door) == 0
        assert 0.5 < time.monotonic() - begun < 5
        assert idle.recv(10) == b""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_while_processes_are_replaced(home: Path, registry: Registry, tmp_path: Path, workers: int):
    """A restart behind a socket that stays open, as systemd holds it, and SIGHUP with several workers."""
    token = registry.issue(username="alice", application="Shop").access_token
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.set_inheritable(True)
    ended, outcomes = threading.Event(), []
    process = start_at(listener, home, tmp_path, workers)
    arguments = (listener.getsockname(), token, ended, outcomes)
    threads = [threading.Thread(target=keep_asking, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3 if workers == 1 else 2):
            time.sleep(0.3)
            if workers == 1:
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=40) == 0
                process = start_at(listener, home, tmp_path, workers)
            else:
                process.send_signal(signal.SIGHUP)
                time.sleep(2.5)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)
        listener.close()
    assert len(outcomes) > 100
    assert set(outcomes) == {200}


def start_at(listener: socket.socket, home: Path, folder: Path, workers: int) -> subprocess.Popen[str]:
    """Start a door at a socket that this process keeps."""
    options = ["--bind", f"fd:{listener.fileno()}", "--workers", str(workers), "--verify-any", "--access-log", "off"]
    command = [sys.executable, "-m", "authctl", "--home", str(home), *places.named(home), "serve", *options]
    with (folder / "err").open("w") as err:
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], stderr=err, text=True)
    while "listening" not in (folder / "err").read_text():
        assert process.poll() is None
        time.sleep(0.02)
    return process


def keep_asking(address: tuple[str, int], token: str, ended: threading.Event, outcomes: list[int | str]) -> None:
    """Ask until it is over: one request on a new connection, and two more on the same."""
    while not ended.is_set():
        try:
            with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
                for _ in range(3):
                    connection.request("GET", "/verify", headers={"Authorization": f"Bearer {token}"})
                    answer = connection.getresponse()
                    answer.read()
                    outcomes.append(answer.status)
        except (OSError, http.client.HTTPException) as error:
            outcomes.append(repr(error))
