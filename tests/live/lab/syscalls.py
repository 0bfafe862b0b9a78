"""The system calls of a program, as strace (Debian's 6.1 or later) writes them down: what it did with its files, and
when, in an order that the kernel saw.
"""

import dataclasses
import re

# Everything that changes a file, a folder or what is on the disk of it, and what a program says on a socket. Calls that
# would change files in a way the disk model does not know are traced too, so that it can refuse them.
CHANGES = (
    "openat,open,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,"
    "renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,fsync,fdatasync,sync,syncfs,"
    "sync_file_range,msync,mmap,copy_file_range,sendfile,splice,sendto,sendmsg,io_uring_setup,lseek"
)


def traced(command, output):
    """The command line that runs `command` and writes its calls to the file `output`. The process it starts is the
    program itself, so that signals reach it.
    """
    trace = ["strace", "-D", "-f", "-y", "-qq", "-xx", "-s", "16777216", "-e", f"trace={CHANGES}"]
    return [*trace, "-o", str(output), "--", *map(str, command)]


@dataclasses.dataclass
class Call:
    """One call. `began` and `ended` are places in the trace; `ended` is None if the program died in it."""

    name: str
    args: list  # as strace prints them
    began: int
    ended: int | None
    result: int | None  # None if it has not ended
    paths: str = ""  # what `-y` says about the result: the path of a new descriptor

    @property
    def failed(self):
        return self.result is not None and self.result < 0


LINE = re.compile(r"^(\d+) +(.*)$", re.DOTALL)
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
WHOLE = re.compile(r"^(\w+)\((.*)\) += +(-?\d+|\?)(?:<((?:\\x..|[^>])*)>)?.*$", re.DOTALL)
BEGUN = re.compile(r"^(\w+)\((.*)$", re.DOTALL)
HEX = re.compile(r"\\x([0-9a-f]{2})")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def arguments(text):
    """Splits at the commas outside of brackets; strings are all in hexadecimal, so no bracket is part of one."""
    args, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        if sign in "([{<":
            depth += 1
        elif sign in ")]}>":
            depth -= 1
        elif sign == "," and depth == 0:
            args.append(text[start:at].strip())
            start = at + 1
    return [*args, text[start:].strip()]


def data(text):
    """The bytes of all strings in an argument, one after the other."""
    return b"".join(bytes.fromhex(part.replace("\\x", "")) for part in STRING.findall(text))


def descriptor(text):
    """(number, path) of an argument such as `12</srv/db>`; the path is None if strace knows none."""
    number, _, path = text.partition("<")
    return int(number) if number.lstrip("-").isdigit() else None, HEX.sub(
        lambda found: chr(int(found.group(1), 16)), path.removesuffix(">")
    ) or None


def read(file, first):
    """All calls of a trace in the order in which they began. Places are counted from `first`."""
    calls, begun = [], {}
    with open(file, errors="surrogateescape") as lines:
        for at, line in enumerate(lines, first):
            process, text = LINE.match(line.rstrip("\n")).groups()
            if text.startswith(("---", "+++")) or text in ("<unfinished ...>", "???( <unfinished ...>"):
                continue
            if text.endswith("<unfinished ...>"):
                name, rest = BEGUN.match(text.removesuffix("<unfinished ...>")).groups()
                call = Call(name, arguments(rest.rstrip(" ,")), at, None, None)
                begun[process] = (call, rest)
                calls.append(call)
                continue
            resumed = RESUMED.match(text)
            if resumed:
                call, first = begun.pop(process)
                text = f"{call.name}({first}{resumed.group(2)}"
            else:
                call = Call("", [], at, None, None)
                calls.append(call)
            whole = WHOLE.match(text)
            assert whole, f"{file}: line {at + 1} is not a call: {text[:200]}"
            call.name, args, result, call.paths = whole.groups()
            call.args = arguments(args)
            if result != "?":
                call.ended, call.result = at, int(result)
    return calls
