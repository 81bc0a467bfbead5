#!/bin/sh
# ua-parser: the version of Outlook in a sign-in's user agent is not the one that Outlook said.
#
# Expected: "Microsoft Outlook 16.0.12026" is version 16.0.12026, and "Mac OS X Version 14.0" is 14.0, as with browsers.
# Seen: Outlook for Windows is 2016, whatever 16.0 it is; all of them since then say 16.0. Outlook for Mac keeps its own version, but the
# system's is 23.3.4, read out of the build's name. The fourth number of Teams is dropped.
# Such a version cannot be compared with a least one that is written as Outlook writes it: what is given on as `application_version`,
# for conditions, has to come from the application itself.
# With: ua-parser 1.0.2, ua-parser-builtins 202610, user-agents 2.2.0.
# Documented: in the table of expressions alone (github.com/ua-parser/uap-core, regexes.yaml).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check ua-parser==1.0.2 ua-parser-builtins==202610 user-agents==2.2.0

cat > "$folder/expected" <<'END'
Outlook 2016 on Windows 10
MacOutlook 16.78.23100802 on Mac OS X 23.3.4
Microsoft Teams 24165.1410.2974 on Windows 10
END
"$folder/python/bin/python" > "$folder/seen" <<'END'
from user_agents import parse

AGENTS = (
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.12026; Pro)",
    "MacOutlook/16.78.23100802 (Intelx64 Mac OS X Version 14.0 (Build 23A344))",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Teams/24165.1410.2974.6689 Chrome/124.0.0.0 Safari/537.36 Edg/124.0.0.0",
)
for agent in AGENTS:
    found = parse(agent)
    browser, system = found.browser, found.os
    print(f"{browser.family} {browser.version_string} on {system.family} {system.version_string}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
