"""The way of the evidence to the parent: a file in the scratch folder, one JSON record a line, written as it comes."""

from __future__ import annotations

import os
import threading
import time

import msgspec

from nnlint.confirm.records import Record

_PAUSE = 0.05  # seconds between two flushes of what changes at every step


class Wire:
    """Records that change are marked and sent together, at most once in a while: a step must not wait for the disk."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._encode = msgspec.json.Encoder().encode
        self._lock = threading.RLock()
        self._changed: dict[int, Record] = {}
        self._keys = 0
        self._due = 0.0
        self._pid = os.getpid()

    def number(self, record: Record) -> None:
        """Give a new record its key."""
        self._keys += 1
        record.key = self._keys

    def changed(self, record: Record) -> None:
        self._changed[record.key] = record

    def send(self, record: Record) -> None:
        """Send at once."""
        if not record.key:
            self.number(record)
        self._changed[record.key] = record
        self.flush()

    def tick(self) -> None:
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            records, self._changed = list(self._changed.values()), {}
            if records:
                data = b"".join(self._encode(record) + b"\n" for record in records)
                while data:
                    data = data[os.write(self._file, data) :]
            self._due = time.monotonic() + _PAUSE
