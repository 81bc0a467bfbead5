#!/bin/sh
# Textual: keys that arrive together go to the widget that has the focus then, also if the first of them moves the focus.
#
# Expected: `/abc` typed in an application whose binding `/` moves the focus to an Input: the Input has "abc", at any speed.
# Seen: if the four keys arrive in one piece (a paste without brackets, a key macro, a slow connection), the Input is focused and
# empty, and the list that had the focus before got a, b and c. One after the other, they are in the Input. Each key is given to the
# focused widget when it is read; a binding of the application acts only after its key has gone up through the widgets.
# The pilot of Textual's tests waits after each key, so that no test with it shows this; a pseudo-terminal does.
# An application that keeps what is typed ahead gives those characters to the field itself.
# With: textual 8.2.8.
# Documented: that key events go to the widget in focus (textual.textualize.io/guide/input); not when this is decided.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check textual==8.2.8

cat > "$folder/page.py" <<'END'
"""A list that collects its keys, and a field that `/` goes to; Ctrl+S writes what both got to a file."""

import sys
from pathlib import Path

from textual.app import App
from textual.widget import Widget
from textual.widgets import Input


class List(Widget, can_focus=True):
    keys = ""

    def on_key(self, event):
        self.keys += event.character if event.is_printable else ""


class Page(App):
    AUTO_FOCUS = "List"
    BINDINGS = [("slash", "search", "Search"), ("ctrl+s", "stop", "Stop")]

    def compose(self):
        yield List()
        yield Input()

    def on_ready(self):
        Path(sys.argv[1]).touch()

    def action_search(self):
        self.query_one(Input).focus()

    def action_stop(self):
        Path(sys.argv[2]).write_text(self.seen())
        self.exit()

    def seen(self):
        return f"the list got {self.query_one(List).keys!r}, the field {self.query_one(Input).value!r}"


if __name__ == "__main__":
    Page().run()
END
cat > "$folder/keys.py" <<'END'
"""Type the same keys in a pseudo-terminal, in one piece and one by one, and with the pilot."""

import asyncio
import os
import pty
import sys
import time
from pathlib import Path
from threading import Thread

HERE = Path(sys.argv[1])
sys.path.insert(0, str(HERE))
from page import Page  # noqa: E402

ready, answer = HERE / "ready", HERE / "answer"


def shown(terminal):
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass  # the other side is closed


def typed(*pieces):
    ready.unlink(missing_ok=True)
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="80", LINES="24")
        os.execv(sys.executable, [sys.executable, str(HERE / "page.py"), str(ready), str(answer)])
    Thread(target=shown, args=(terminal,), daemon=True).start()
    while not ready.exists():
        time.sleep(0.05)
    for piece in (*pieces, b"\x13"):
        time.sleep(1)
        os.write(terminal, piece)
    os.waitpid(process, 0)
    return answer.read_text()


async def piloted(*keys):
    async with Page().run_test() as pilot:
        await pilot.press(*keys)
        return pilot.app.seen()


print("in one piece:", typed(b"/abc"))
print("one by one:", typed(b"/", b"a", b"b", b"c"))
sys.argv[1:] = [os.devnull, os.devnull]
print("by the pilot:", asyncio.run(piloted("slash", "a", "b", "c")))
END
cat > "$folder/expected" <<'END'
in one piece: the list got '/abc', the field ''
one by one: the list got '/', the field 'abc'
by the pilot: the list got '/', the field 'abc'
END
"$folder/python/bin/python" "$folder/keys.py" "$folder" > "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "as described"
