"""The kernel's part of the write guard: Landlock, by which a Linux process gives up rights for itself and all its descendants.

After `restrict`, nothing outside the given folders is created, opened for writing, removed, renamed or cut short, whoever asks: Python,
an extension module, a subprocess. Reading stays free. What each version of the interface lacks:

* before version 2 (Linux 5.19) files cannot change their folder at all, not even where writing is allowed;
* before version 3 (Linux 6.2) `truncate` by path is not refused;
* in no version are changes of mode, owner, times and extended attributes refused.
"""

from __future__ import annotations

import ctypes
import os
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture (alpha aside)
VERSION = 1
PATH_BENEATH = 1
NO_NEW_PRIVILEGES = 38

WRITE_FILE = 1 << 1
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER = 1 << 13
TRUNCATE = 1 << 14

FIRST = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM
ON_DEVICES = WRITE_FILE | TRUNCATE | MAKE_CHAR  # the driver of a GPU makes its nodes on first use


class Ruleset(ctypes.Structure):
    """The first field of `struct landlock_ruleset_attr`; the kernel takes what is missing for zero."""

    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class Beneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def version() -> int:
    """The version of Landlock that the kernel offers, 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION)))


def rights(version: int) -> int:
    """All rights to change files that this version can refuse."""
    return FIRST | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)


def restrict(folders: list[str], devices: list[str]) -> int:
    """From now on change files in `folders` and open those in `devices` only; the version in force, 0 if there is none."""
    offered = version()
    if not offered:
        return 0
    handled = rights(offered)
    attributes = Ruleset(handled)
    ruleset = _call(CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return 0
    try:
        allowed = [(folder, handled) for folder in folders] + [(device, handled & ON_DEVICES) for device in devices]
        if not all(_allow(ruleset, path, access) for path, access in allowed):
            return 0
        _libc().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return offered if _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0 else 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> bool:
    try:
        folder = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # no such folder, nothing to allow
    try:
        rule = Beneath(access, folder)
        return _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)) == 0
    finally:
        os.close(folder)


def _call(number: int, *arguments: object) -> int:
    syscall = _libc().syscall
    syscall.restype = ctypes.c_long
    return int(syscall(ctypes.c_long(number), *arguments))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
