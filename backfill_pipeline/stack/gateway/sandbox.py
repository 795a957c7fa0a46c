"""Takes from this process whatever a shard has no need of, before the engine opens: Linux's Landlock.

An embedded engine may read and write all that its process may, by more table functions, engines and statements than a
list of words can forbid. From here on the kernel lets this process, and all that it starts, write below its own folder
alone, read little but programs' libraries, run nothing, dial nobody whom the command line does not name, and signal nobody.

Source: linux/landlock.h and landlock(7). By ctypes, as the binding that there is knows files alone and is an alpha.
"""

import ctypes
import logging
import os
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

_log = logging.getLogger(__name__)
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # system calls; the same number on every architecture
_VERSION_FLAG = 1
_BENEATH, _PORT = 1, 2  # kinds of rules
_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_OF_FILES = 1 << 0 | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15  # what a rule of a single file may name
_BIND, _CONNECT = 1 << 0, 1 << 1
_SCOPES = 0b11  # abstract sockets and signals of processes outside
# ABI -> how many rights of the file system it knows; what a later one adds is left out on an older kernel.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_ABI, _SCOPE_ABI = 4, 6

# What the engine and Python read beside their own libraries: memory, processors, zones, the name `localhost`.
_READ = (
    "/usr/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/sys", "/dev/urandom", "/dev/null", "/etc/localtime",
    "/etc/timezone", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/ld.so.cache",
    "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/mounts", "/proc/sys",
    "/proc/self/task", "/proc/self/stat", "/proc/self/statm", "/proc/self/status", "/proc/self/maps", "/proc/self/cgroup",
    "/proc/self/auxv",  # without it the engine looks behind `environ` in memory, which Python has moved, and may crash
)  # fmt: skip


def is_available() -> bool:
    return _call(_CREATE, None, 0, _VERSION_FLAG) >= 1


def confine(folder: Path, port: int, dials: Sequence[int] = ()) -> None:
    """Confine this process for good; to be called while it has one thread, as others would stay free.

    folder: what it may write. port: what it may listen on. dials: ports that it may connect to.
    Where the kernel has no Landlock, a warning says so.
    """
    _keep_temporary_files_in(folder / "temporary")
    abi = _call(_CREATE, None, 0, _VERSION_FLAG)
    if abi < 1:
        _log.warning("this kernel has no Landlock: statements that reach for files are refused by name only")
        return
    rights = (1 << _RIGHTS[min(abi, max(_RIGHTS))]) - 1
    network, scopes = (_BIND | _CONNECT) * (abi >= _NET_ABI), _SCOPES * (abi >= _SCOPE_ABI)
    ruleset = _made(_CREATE, struct.pack("QQQ", rights, network, scopes), (8, 16, 24)[(abi >= 4) + (abi >= 6)], 0)
    _allow(ruleset, folder, rights & ~1)
    _allow(ruleset, Path("/dev/null"), rights & _WRITE_FILE)
    for path in _readable():
        _allow(ruleset, path, rights & (_READ_FILE | _READ_DIR))
    if network:
        for right, number in ((_BIND, port), *((_CONNECT, d) for d in dials)):
            _made(_ADD_RULE, ruleset, _PORT, struct.pack("QQ", right, number), 0)
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    _made(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _keep_temporary_files_in(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(folder)


def _readable() -> Iterator[Path]:
    """Not all of sys.path: its first entry is the folder of whoever started this, with secrets below it."""
    yield Path(__file__).parents[2]
    yield from (Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages"))
    yield from (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
    # For the names in the engine's stack traces: the program and libpython.
    yield from (Path(sys.executable).resolve(), Path(sysconfig.get_config_var("LIBDIR") or sys.base_prefix))
    yield from map(Path, _READ)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    try:
        rights &= -1 if stat.S_ISDIR(os.fstat(fd).st_mode) else _OF_FILES
        _made(_ADD_RULE, ruleset, _BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


_libc = ctypes.CDLL(None, use_errno=True)


def _call(*arguments: bytes | int | None) -> int:
    return int(_libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))


def _made(*arguments: bytes | int | None) -> int:
    if (result := _call(*arguments)) < 0:
        raise OSError(ctypes.get_errno(), f"{os.strerror(ctypes.get_errno())} (Landlock)")
    return result
