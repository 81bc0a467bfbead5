"""A receiver for tests: a real program over the `command` contract, which keeps what it was told and answers as it is told to."""

import json
import sys
from pathlib import Path

import pytest

PROGRAM = """#!{python}
import json, sys
from pathlib import Path
folder = Path({folder!r})
behaviour = json.loads((folder / "behaviour").read_text())
for line in sys.stdin:
    message = json.loads(line)
    with (folder / "told").open("a") as told:
        told.write(line)
    answer = behaviour.get(message["event"], behaviour.get("*", "done"))
    print(json.dumps({{"jti": message["jti"], "verdict": answer, "reason": "as told"}}), flush=True)
sys.exit(behaviour.get("exit", 0))
"""


class Receiver:
    """Such a program in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.program = folder / "receiver"
        self.program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
        self.program.chmod(0o700)
        self.answer()

    def answer(self, **behaviour) -> None:
        """From now on answer so: a verdict for each event (`_` for `-`), or for all others as `other`, and an exit code."""
        texts = {("*" if name == "other" else name.replace("_", "-")): value for name, value in behaviour.items()}
        (self.folder / "behaviour").write_text(json.dumps(texts))

    @property
    def told(self) -> list[dict]:
        """All messages so far."""
        file = self.folder / "told"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def jtis(self) -> list[str]:
        """The ids of all messages so far."""
        return [message["jti"] for message in self.told]


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    """A receiver that answers `done`."""
    return Receiver(tmp_path / "receiver")
