#!/bin/sh
# A job at half past two every night: in the two nights when clocks change, three schedulers do three things.
#
# Expected: once a night. Where 02:30 does not exist it runs at some other time or not at all, where it comes twice it runs the first time,
# as cron does (cron(8) of Debian: jobs of a fixed time run once, and right after a jump).
# Seen: croniter runs it twice in autumn; cronsim once. In spring both run it at 03:00. APScheduler runs it twice in autumn, and in spring
# at 03:30, under a time that does not exist: a job at half past two and half past three then runs once instead of twice. And what
# APScheduler repeats every day moves by an hour in each of these nights: its day has 24 hours.
# A cleanup has to bear a second run, and a missing one, whoever starts it; authctl's is started by cron, or by a timer of systemd.
# With: croniter 7.0.0, cronsim 2.8, APScheduler 3.11.3, tzdata 2026.6.
# Documented: APScheduler's manual warns of these nights, and says that the job does not run in spring, which it does; of its interval
# trigger, and in croniter's manual, nothing but that a time with a zone is needed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8 apscheduler==3.11.3 tzdata==2026.6

cat > "$folder/expected" <<'END'
spring 30 2 * * *    croniter     29 01:00, 30 00:30, 31 00:30
spring 30 2 * * *    cronsim      29 01:00, 30 00:30, 31 00:30
spring 30 2 * * *    APScheduler  29 01:30, 30 00:30, 31 00:30
spring 30 2,3 * * *  croniter     29 01:00, 29 01:30, 30 00:30
spring 30 2,3 * * *  cronsim      29 01:00, 29 01:30, 30 00:30
spring 30 2,3 * * *  APScheduler  29 01:30, 30 00:30, 30 01:30
spring every day, APScheduler, in Berlin: 28 12:00, 29 13:00, 30 13:00
autumn 30 2 * * *    croniter     25 00:30, 25 01:30, 26 01:30
autumn 30 2 * * *    cronsim      25 00:30, 26 01:30, 27 01:30
autumn 30 2 * * *    APScheduler  25 00:30, 25 01:30, 26 01:30
autumn 30 2,3 * * *  croniter     25 00:30, 25 01:30, 25 02:30
autumn 30 2,3 * * *  cronsim      25 00:30, 25 02:30, 26 01:30
autumn 30 2,3 * * *  APScheduler  25 00:30, 25 01:30, 25 02:30
autumn every day, APScheduler, in Berlin: 24 12:00, 25 11:00, 26 11:00
END
PYTHONTZPATH="" "$folder/python/bin/python" > "$folder/seen" <<'END'
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from croniter import croniter
from cronsim import CronSim

BERLIN = ZoneInfo("Europe/Berlin")


def fired(trigger: CronTrigger | IntervalTrigger, start: datetime) -> Iterator[datetime]:
    """When a trigger fires, asked as its scheduler asks: with the time as it is a moment after the last run."""
    before, now = None, start
    while True:
        before = trigger.get_next_fire_time(before, now)
        yield before
        now = (before.astimezone(UTC) + timedelta(seconds=1)).astimezone(BERLIN)


SCHEDULERS: dict[str, Callable[[str, datetime], Iterator[datetime]]] = {
    "croniter": lambda rule, start: croniter(rule, start, ret_type=datetime),
    "cronsim": CronSim,
    "APScheduler": lambda rule, start: fired(CronTrigger.from_crontab(rule, timezone=BERLIN), start),
}
for season, start in (("spring", datetime(2026, 3, 28, 12)), ("autumn", datetime(2026, 10, 24, 12))):
    here = start.replace(tzinfo=BERLIN)
    for rule in ("30 2 * * *", "30 2,3 * * *"):
        for name, runs in SCHEDULERS.items():
            found = [run.astimezone(UTC).strftime("%d %H:%M") for run in islice(runs(rule, here), 3)]
            print(f"{season} {rule:13} {name:12} {', '.join(found)}")
    daily = fired(IntervalTrigger(days=1, start_date=here, timezone=BERLIN), here)
    found = [run.strftime("%d %H:%M") for run in islice(daily, 3)]
    print(f"{season} every day, APScheduler, in Berlin: {', '.join(found)}")
END
diff "$folder/expected" "$folder/seen"
echo "as described"
