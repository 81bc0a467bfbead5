"""Programs that are receivers: those that lie, block, are slow on purpose, or write what they like."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from authctl.errors import ReceiverUnavailable
from authctl.receivers.command import Command
from authctl.receivers.messages import Message, Verdict, read_verdict

Programs = Callable[..., Command]


@pytest.fixture
def program(tmp_path: Path) -> Programs:
    """A command whose program is that Python."""

    def made(code: str, timeout: float = 10, **environment: str) -> Command:
        file = tmp_path / "program"
        file.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{code}\n")
        file.chmod(0o700)
        return Command((str(file), "--quiet"), environment, timeout)

    return made


def messages(count: int) -> list[Message]:
    """So many messages, with a user whose name is hostile."""
    return [Message(f"j{n}", {"jti": f"j{n}", "username": "$(reboot)\n\x1b[31m"}, 0, 0) for n in range(count)]


def told(command: Command, count: int = 1) -> tuple[list[Verdict], str | None]:
    """The verdicts, and why it failed."""
    verdicts = []
    try:
        verdicts.extend(command.send(messages(count)))
    except ReceiverUnavailable as error:
        return verdicts, error.message
    return verdicts, None


DONE = "for line in sys.stdin: print(json.dumps({'jti': json.loads(line)['jti'], 'verdict': 'done'}), flush=True)"


def test_both_pipes_are_served_at_once(program: Programs):
    """More than two pipes hold: a program that answers line by line, and one that reads everything first."""
    assert len(told(program(DONE), 20_000)[0]) == 20_000
    read_first = "lines = sys.stdin.readlines()\n" + DONE.replace("sys.stdin", "lines")
    assert len(told(program(read_first), 20_000)[0]) == 20_000


def test_a_program_that_answers_without_reading(program: Programs):
    """What it does not read is lost to it alone; a broken pipe is no failure."""
    verdicts, failure = told(program("print(json.dumps({'jti': 'j0', 'verdict': 'done'}))"), 20_000)
    assert (len(verdicts), failure) == (1, None)


def test_nothing_of_a_message_or_of_the_caller_reaches_the_program_but_by_its_input(
    program: Programs, monkeypatch: pytest.MonkeyPatch
):
    """Neither as an argument nor in its environment; it runs in `/`, in a session of its own."""
    monkeypatch.setenv("AUTHCTL_SECRET", "of the caller")
    facts = "[sys.argv[1:], sorted(os.environ), os.getcwd(), os.environ['PATH'], os.getsid(0) == os.getpid()]"
    (verdict,), _ = told(
        program(f"print(json.dumps({{'jti': 'j0', 'verdict': 'done', 'reason': json.dumps({facts})}}))", A="1")
    )
    assert verdict.reason == '[["--quiet"], ["A", "LANG", "PATH"], "/", "/usr/bin:/bin", true]'


@pytest.mark.parametrize(
    "line",
    ["", "done", "[]", "null", '{"jti": 1, "verdict": "done"}', '{"jti": "j0"}', '{"jti": "j0", "verdict": "DONE"}',
     '{"jti": "j0", "verdict": ["done"]}', '{"verdict": "done"}', "[" * 5_000, '{"jti": "j0", "verdict": true}'],
)  # fmt: skip
def test_a_line_that_is_no_verdict_is_none(line: str):
    """It is neither taken for `done`, nor does it stop the others."""
    assert read_verdict(line.encode()) is None


def test_a_reason_is_cut_and_made_visible():
    """Foreign text never reaches a terminal raw."""
    verdict = read_verdict(b'{"jti": "j0", "verdict": "refuse", "reason": "\\u001b[31m' + b"x" * 5_000 + b'"}')
    assert verdict is not None
    assert verdict.reason is not None
    assert "\x1b" not in verdict.reason
    assert len(verdict.reason) <= 300


def test_garbage_between_verdicts_is_passed_over(program: Programs):
    """Bytes that are no text, lines that are no verdict, and a last line without its end."""
    code = "sys.stdout.buffer.write(b'\\xff\\xfe\\n{\"jti\"\\n')\nsys.stdout.flush()\n" + DONE
    assert [one.jti for one in told(program(code), 2)[0]] == ["j0", "j1"]
    assert told(program('sys.stdout.write(\'{"jti": "j0", "verdict": "done"}\')'))[0] == []


@pytest.mark.parametrize("code", ["while True: print('x' * 1000)", "while True: sys.stdout.write('x' * 1000)"])
def test_an_output_without_end_is_cut_off(program: Programs, code: str):
    """In lines or in one line."""
    began = time.monotonic()
    assert told(program(code, timeout=20))[1] == "its output is too long"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(60)",
        f"{DONE}\nsys.stdout.flush()\nos.close(1)\ntime.sleep(60)",
        f"{DONE}\nos.fork() or time.sleep(60)",
        "while True: print('{}', flush=True); time.sleep(0.1)",
    ],
)
def test_a_program_that_takes_its_time_is_ended(program: Programs, code: str):
    """With the verdicts that it gave; its children are ended, too."""
    began = time.monotonic()
    verdicts, failure = told(program(code, timeout=1))
    assert time.monotonic() - began < 8
    assert len(verdicts) == ("stdin" in code)
    assert failure is None or failure == "no answer within 1 s"


def test_a_failure_has_the_beginning_of_its_error_output(program: Programs):
    """In one line, without escapes; verdicts before it count."""
    code = f"{DONE}\nprint('cannot\\nconnect \\x1b[31m', file=sys.stderr)\nsys.exit(3)"
    verdicts, failure = told(program(code))
    assert len(verdicts) == 1
    assert failure == "it exited with 3: cannot connect \\x1b[31m"
    assert told(program("os.kill(os.getpid(), 9)"))[1] == "signal 9 ended it"


def test_a_program_that_cannot_be_run(tmp_path: Path):
    """Missing, a folder, not executable."""
    plain = tmp_path / "plain"
    plain.touch(0o600)
    for path in (tmp_path / "missing", tmp_path, plain):
        assert (told(Command((str(path),), {}, 5))[1] or "").startswith(f"cannot run {path}")
