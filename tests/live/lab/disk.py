"""A disk that loses power: from the system calls of a program it knows what must be on the disk at any moment, and what
may be.

What every model promises: a write is on the disk once `fsync` or `fdatasync` of the file began after the write had
ended, and has ended itself. `sync_file_range` promises nothing: it does not flush the cache of the disk, and not the
length of the file. A sector (512 or 4096 bytes) is written whole or
not at all, as it was at some moment.

`Strict` promises nothing else, as POSIX does: each sector, each change of a length and each name of a folder that was
not synced arrives or not, independently of all others. A name is safe after `fsync` of its folder.

`Ordered` is what ext4 does with `data=ordered` and delayed allocation: names arrive in their order, and are all written
by an `fsync` of anything that has news in the journal; a file never shows bytes behind its old end that were not
written, but its new length may be missing although a later change of a name arrived. Bytes in place arrive or not.
"""

import dataclasses
import functools
import os
import pathlib
import random
import socket

from . import syscalls

# What is written whole or not at all: a sector, or a page where the disk has large sectors.
BLOCKS = [512, 4096]
# How much of what was not synced arrived.
SHARES = [0.1, 0.5, 0.9]
NEVER = float("inf")
SYNCS = {"fsync", "fdatasync"}
# Calls after which a power cut may leave something else than before.
CHANGES = {"openat", "write", "pwrite64", "writev", "ftruncate", "fallocate", "rename", "unlink", "mkdir", *SYNCS}


@dataclasses.dataclass
class Write:
    """Bytes at a place of a file, or a new length (`data` is None)."""

    ended: float
    at: int
    data: bytes | None

    def apply(self, content):
        if self.data is None:
            del content[self.at :]
            content.extend(bytes(self.at - len(content)))
        else:
            content.extend(bytes(max(0, self.at - len(content))))
            content[self.at : self.at + len(self.data)] = self.data

    def pieces(self, size):
        """The same bytes in parts that lie in one block of this size each, with the number of the block."""
        at = 0
        while at < len(self.data):
            block, start = divmod(self.at + at, size)
            yield block, Write(self.ended, self.at + at, self.data[at : at + size - start])
            at += size - start

    def end(self, length):
        """The length of the file after it."""
        return self.at if self.data is None else max(length, self.at + len(self.data))


@dataclasses.dataclass(eq=False)
class File:
    durable: bytearray = dataclasses.field(default_factory=bytearray)
    pending: list = dataclasses.field(default_factory=list)

    def now(self):
        content = bytearray(self.durable)
        for one in self.pending:
            one.apply(content)
        return content

    def lengths(self):
        """Its length after each pending change, the durable one first."""
        found = [len(self.durable)]
        for one in self.pending:
            found.append(one.end(found[-1]))
        return found

    def torn(self, block_size, lengths, until):
        """What is there if the first changes of the length arrived, so many as `lengths`, and of each block what had
        been written to it at some moment: `until(block)` is the number of changes before that.
        """
        content = bytearray(self.durable)
        for at, one in enumerate(self.pending):
            if one.data is None:
                if at < lengths:
                    one.apply(content)
                continue
            for block, part in one.pieces(block_size):
                if at < until(block):
                    part.apply(content)
        length = self.lengths()[lengths]
        del content[length:]
        return content + bytes(length - len(content))


@dataclasses.dataclass(eq=False)
class Folder:
    durable: dict = dataclasses.field(default_factory=dict)  # name -> File or Folder
    pending: list = dataclasses.field(default_factory=list)  # its part of `Disk.names`
    current: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Names:
    """A change of names in one folder, made at once: name -> what it names, None for nothing."""

    ended: float
    folder: Folder
    changes: dict

    def apply(self, entries):
        for name, node in self.changes.items():
            entries.pop(name, None) if node is None else entries.update({name: node})


class Disk:
    """Everything below one folder, which is there and empty, or holds `files` (path -> bytes, None for a folder)."""

    def __init__(self, root, files=None):
        self.root_path, self.root = pathlib.Path(root), Folder()
        self.names = []  # changes of names that are not safe, in their order
        self.open = {}  # descriptor -> [node, position, appends]
        self.syncs = 0
        for path, content in sorted((files or {}).items()):
            folder, name = self._folder(self.root_path / path)
            node = Folder() if content is None else File(bytearray(content))
            folder.durable[name] = folder.current[name] = node

    # -- what the program did -----------------------------------------------------------------------------------------
    def process_ended(self, left):
        """The program is gone, and `left` is the folder as it left it: that says whether its last calls were done."""
        self.open.clear()
        for path, node in self._nodes(self.root):
            if isinstance(node, File):
                there = (pathlib.Path(left) / path).read_bytes()
                for one in [one for one in node.pending if one.ended == NEVER]:
                    one.ended = -1
                    if node.now() != there:
                        node.pending.remove(one)
                assert node.now() == there, f"the model differs in {path}"

    def _nodes(self, folder, above=""):
        for name, node in folder.current.items():
            yield above + name, node
            if isinstance(node, Folder):
                yield from self._nodes(node, f"{above}{name}/")

    def begin(self, call):
        """A call began: what it writes may be on the disk from now on."""
        if call.failed:
            return
        doing = getattr(self, f"_{call.name}", None)
        if doing is not None:
            doing(call, *call.args)

    def end(self, call):
        """A call ended well; a sync holds from now on."""
        if call.name in SYNCS and not call.failed:
            entry = self.open.get(syscalls.descriptor(call.args[0])[0])
            if entry:
                self.syncs += 1
                self.sync(entry[0], call.began, call.name == "fsync")

    def _ended(self, call):
        return NEVER if call.ended is None else call.ended

    def _path(self, text):
        """The path of an argument, relative to the root; None if it is elsewhere."""
        path = pathlib.Path(os.path.normpath(os.fsdecode(syscalls.data(text))))
        inside = path.is_relative_to(self.root_path) and path != self.root_path
        # Sockets have no content.
        return path if inside and path.suffix != ".sock" else None

    def _folder(self, path):
        """(folder, name) of a path, as the program sees it."""
        folder = self.root
        *above, name = path.relative_to(self.root_path).parts
        for part in above:
            folder = folder.current[part]
        return folder, name

    def _node(self, path):
        if path == self.root_path:
            return self.root
        folder, name = self._folder(path)
        return folder.current.get(name)

    def _change(self, call, folder, changes):
        change = Names(self._ended(call), folder, changes)
        change.apply(folder.current)
        folder.pending.append(change)
        self.names.append(change)

    def _openat(self, call, _, path, flags, *__):
        where = pathlib.Path(os.path.normpath(os.fsdecode(syscalls.data(path))))
        if not where.is_relative_to(self.root_path):
            return
        node = self._node(where)
        if node is None:
            if "O_CREAT" not in flags:
                return
            folder, name = self._folder(where)
            node = File()
            self._change(call, folder, {name: node})
        elif "O_TRUNC" in flags and node.now():
            node.pending.append(Write(self._ended(call), 0, None))
        if call.result is not None:
            self.open[call.result] = [node, 0, "O_APPEND" in flags]

    def _close(self, _, which):
        self.open.pop(syscalls.descriptor(which)[0], None)

    def _fcntl(self, call, which, doing, *_):
        entry = self._file(which)
        if entry and doing.startswith("F_DUPFD"):
            self.open[call.result] = entry  # the copy shares the position

    def _mkdir(self, call, path, _):
        path = self._path(path)
        if path:
            folder, name = self._folder(path)
            self._change(call, folder, {name: Folder()})

    def _unlink(self, call, path):
        path = self._path(path)
        if path and self._node(path) is not None:
            folder, name = self._folder(path)
            self._change(call, folder, {name: None})

    def _rename(self, call, old, new):
        old, new = self._path(old), self._path(new)
        if not old and not new:
            return
        assert old and new and old.parent == new.parent, f"a rename that the model does not know: {call}"
        folder, name = self._folder(old)
        self._change(call, folder, {name: None, new.name: folder.current[name]})

    def _file(self, which):
        return self.open.get(syscalls.descriptor(which)[0])

    def _pwrite64(self, call, which, text, length, at):
        entry = self._file(which)
        if entry:
            self._put(call, entry[0], int(at), syscalls.data(text), length)

    def _write(self, call, which, text, length=None):
        entry = self._file(which)
        if entry:
            written = syscalls.data(text)
            if call.result is not None:
                written = written[: call.result]
            at = len(entry[0].now()) if entry[2] else entry[1]
            self._put(call, entry[0], at, written, None)
            entry[1] = at + len(written)

    def _writev(self, call, which, text, _):
        self._write(call, which, text)

    def _put(self, call, file, at, data, length):
        assert length is None or int(length) == len(data), f"strace cut the bytes of {call.name} off"
        if call.result is not None:
            data = data[: call.result]
        file.pending.append(Write(self._ended(call), at, data))

    def _lseek(self, call, which, *_):
        entry = self._file(which)
        if entry and call.result is not None:
            entry[1] = call.result

    def _ftruncate(self, call, which, length):
        entry = self._file(which)
        if entry:
            entry[0].pending.append(Write(self._ended(call), int(length), None))

    def _fallocate(self, call, which, mode, at, length):
        entry = self._file(which)
        if entry:
            assert mode == "0", f"a fallocate that the model does not know: {call}"
            now = len(entry[0].now())
            entry[0].pending.append(Write(self._ended(call), max(now, int(at) + int(length)), None))

    def _mmap(self, call, _, __, rights, how, which, *___):
        assert not (self._file(which) and "PROT_WRITE" in rights and "MAP_SHARED" in how), "it writes by mmap"

    def _unknown(self, call, *args):
        for text in args:
            number, path = syscalls.descriptor(text)
            inside = number in self.open or (text.startswith('"') and self._path(text))
            assert not inside, f"the model does not know {call.name}: {path or text}"

    _open = _creat = _dup = _dup2 = _dup3 = _pwritev = _pwritev2 = _truncate = _renameat = _renameat2 = _unknown
    _unlinkat = _rmdir = _mkdirat = _link = _linkat = _symlink = _symlinkat = _syncfs = _msync = _unknown
    _copy_file_range = _sendfile = _splice = _unknown

    def _io_uring_setup(self, *_):
        raise AssertionError("it writes by io_uring, which strace does not see")

    # -- what is on the disk ------------------------------------------------------------------------------------------
    def _sync_bytes(self, file, before):
        """Writes that ended before become durable."""
        for one in file.pending:
            if one.ended < before:
                one.apply(file.durable)
        file.pending = [one for one in file.pending if one.ended >= before]

    def _keep(self, changes):
        """These changes of names become durable."""
        for one in changes:
            one.apply(one.folder.durable)
            one.folder.pending.remove(one)
            self.names.remove(one)

    def files(self):
        """Everything as the program sees it: path -> bytes, None for a folder."""
        return self._walk(lambda folder: folder.current, File.now)

    def image(self, kind, chance):
        """What a power cut now may leave. `kind`: "synced" (nothing else), "issued" (all of it, as after a kill), or
        "some".
        """
        if kind == "issued":
            return self.files()
        if kind == "synced":
            return self._walk(lambda folder: folder.durable, lambda file: file.durable)
        return self.some(chance)

    def _walk(self, entries, content):
        found = {}

        def walk(folder, path):
            for name, node in entries(folder).items():
                if isinstance(node, Folder):
                    found[path + name] = None
                    walk(node, f"{path}{name}/")
                else:
                    found[path + name] = bytes(content(node))

        walk(self.root, "")
        return found


class Strict(Disk):
    """Only what was synced is safe."""

    def sync(self, node, before, _):
        if isinstance(node, Folder):
            self._keep([one for one in node.pending if one.ended < before])
        else:
            self._sync_bytes(node, before)

    def some(self, chance):
        share = chance.choice(SHARES)

        def entries(folder):
            kept = dict(folder.durable)
            for one in folder.pending:
                if chance.random() < share:
                    one.apply(kept)
            return kept

        def content(file):
            arrived = functools.cache(lambda block: some_of(chance, share, file.pending))
            return file.torn(chance.choice(BLOCKS), some_of(chance, share, file.pending), arrived)

        return self._walk(entries, content)


class Ordered(Disk):
    """As ext4 does it."""

    def sync(self, node, before, whole):
        has_news = whole or isinstance(node, Folder) or any(node in one.changes.values() for one in self.names)
        if isinstance(node, File):
            length = len(node.durable)
            has_news |= any(one.data is None or one.end(length) > length for one in node.pending if one.ended < before)
            self._sync_bytes(node, before)
        if has_news:
            kept = []
            for one in self.names:
                if one.ended >= before:
                    break
                kept.append(one)
            self._keep(kept)

    def some(self, chance):
        share = chance.choice(SHARES)
        arrived = set(map(id, self.names[: chance.randint(0, len(self.names))]))

        def entries(folder):
            kept = dict(folder.durable)
            for one in folder.pending:
                if id(one) in arrived:
                    one.apply(kept)
            return kept

        def content(file):
            size, lengths = chance.choice(BLOCKS), some_of(chance, share, file.pending)
            old = len(file.durable)

            def arrived(block):
                some = some_of(chance, share, file.pending)
                return max(some, lengths) if (block + 1) * size > old else some

            return file.torn(size, lengths, functools.cache(arrived))

        return self._walk(entries, content)


def some_of(chance, share, changes):
    """How many of the changes arrived: all with the chance `share`, otherwise any number."""
    return len(changes) if chance.random() < share else chance.randint(0, len(changes))


MODELS = [Strict, Ordered]


def lay_out(files, folder, chance=random):
    """Writes an image into an empty folder; a socket that nobody listens on may be there too, as after any cut."""
    for path, content in sorted(files.items()):
        path = pathlib.Path(folder) / path
        if content is None:
            path.mkdir(mode=0o700)
        else:
            path.write_bytes(content)
            path.chmod(0o600)
    store = pathlib.Path(folder) / "store"
    if store.is_dir() and chance.random() < 0.5:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(store / "control.sock"))
