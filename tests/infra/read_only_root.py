"""Run a program that may write nowhere but in one folder, as in a container with a read-only root.

python -m tests.infra.read_only_root FOLDER PROGRAM [ARGUMENT]…

Linux's Landlock refuses the program, and all it starts, what a read-only file system would refuse:
https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVILEGES = 38
_PATH_BENEATH = 1
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
# Writing, removing, making of any kind, moving between folders, shortening.
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 14)) | _TRUNCATE
# Of the kernel, not of the image: a container can write there too.
_KERNELS = ("/dev", "/proc")


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def main() -> None:
    """Give the right to write away and become the program."""
    folder, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = _Ruleset(_CHANGES)
    rules = _done(libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.sizeof(ruleset), 0))
    for path, allowed in (
        (folder, _CHANGES),
        *((kernels, _WRITE_FILE | _TRUNCATE) for kernels in _KERNELS),
    ):
        beneath = _Beneath(allowed, os.open(path, os.O_PATH))
        _done(libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0))
    _done(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _done(libc.syscall(_RESTRICT_SELF, rules, 0))
    os.execvp(command[0], command)  # noqa: S606  # the test's own words, and no shell wanted


def _done(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"no Landlock: {os.strerror(ctypes.get_errno())}")
    return answer


if __name__ == "__main__":
    main()
