"""fail2ban's own road from a line of ejabberd's log to a decision, in its process: date, regular expression, count, limit.

Failures are those of `tracker.rs`: four from each source. Needs fail2ban's Python package (Debian: fail2ban).
"""
import logging
import sys
import time

try:
    from fail2ban.server.failmanager import FailManagerEmpty
    from fail2ban.server.filter import Filter
except ImportError as error:
    sys.exit(f"SKIPPED: fail2ban is not measured, its Python package is not here ({error})")

logging.disable(logging.CRITICAL)
FAILURES, SOURCES = 40_000, 10_000


class Jail:
    """As much of a jail as a filter needs: bans are counted, not done."""
    name, database, banned = "bench", None, 0

    def putFailTicket(self, _):
        self.banned += 1

    def getBanTimeExtra(self, *_):
        return {}


def address(source):
    bits = source * 2654435761 & 0xFFFFFFFF
    return ".".join(str(bits >> shift & 255) for shift in (24, 16, 8, 0))


# As its filter.d/ejabberd-auth.conf has them.
one = Filter(Jail())
one.setDatePattern(r"^%ExY(?P<_sep>[-/.])%m(?P=_sep)%d[T ]%H:%M:%S(?:[.,]%f)?(?:\s*%z)?")
one.addFailRegex(r"^(?:\.\d+)? \[info\] <0\.\d+\.\d>@ejabberd_c2s:\w+:\d+ \([^\)]+\) Failed (?:c2s \w+ )?authentication for \S+ from "
                 r"(?:IP )?(?:::FFFF:)?<HOST>(?:: |$)")
one.setMaxRetry(5)
one.setFindTime(3600)
stamp = time.strftime("%Y-%m-%d %H:%M:%S")
lines = [f"{stamp}.000 [info] <0.512.0>@ejabberd_c2s:process_auth_result:420 (tls|<0.512.0>) Failed c2s PLAIN authentication for "
         f"user{n}@example.org from ::FFFF:{address(n % SOURCES)}: Invalid username or password" for n in range(FAILURES)]
start = time.process_time()
for line in lines:
    one.processLineAndAdd(line)
spent = time.process_time() - start
found = one.failManager.getFailTotal()
if found != FAILURES:
    sys.exit(f"fail2ban found {found} of {FAILURES} failures: its figure would say nothing")
print(f"fail2ban, {FAILURES // 1000} k failures, 4 from each of {SOURCES // 1000} k sources: {FAILURES / spent / 1000:.1f} k failures/s from line to decision")
