"""The help of the console: its keys, tab by tab."""

from collections.abc import Sequence

from authctl.screens.drawing import Line

HELP: Sequence[Line] = [
    Line("F2 F3 F4 F6 F7", "the tabs: sessions, users, audit trail, continuity, deliveries; in a list also 1 to 5"),
    Line("Up Down PgUp PgDn", "move in the list; Home and End go to its first and last known row"),
    Line("Tab", "go from the search to the list, and on to the details"),
    Line("/", "search; the list follows as you type; Enter goes to the list"),
    Line("Enter", "open: the details of a session or event, the sessions of a group or user"),
    Line("d", "details in a window of their own"),
    Line("c", "the command that prints the same list"),
    Line("y", "copy the ids of the selected rows, or of the one under the cursor; Ctrl+Y copies the command"),
    Line("F5", "read the list again; changes by others appear without a key"),
    Line("q", "quit"),
    Line("Sessions", "Space selects one, a all that match, x none"),
    Line("", "r revokes the selected sessions; the one under the cursor if none is selected"),
    Line("", "R revokes all sessions that match, with any selection"),
    Line("", "s status, k kind, g count by user, application or platform; Backspace goes back to the groups"),
    Line(
        "Users",
        "type the beginning of a name; Space selects, e disables (until a time, if given), n enables, s shows only disabled ones",
    ),
    Line("Continuity", "n starts an event, e ends the one under the cursor"),
    Line("Deliveries", "s state; Space selects, r tries again, e drops"),
    Line("Audit window", "type the note, then Enter; the command that does the same is shown"),
    Line("", "PgUp and PgDn show the rest of the preview"),
    Line("", "named sessions and users are acted on at once; a filter is asked about again"),
    Line("Mouse", "a click on a box selects; the words in brackets and the filters can be clicked"),
]
