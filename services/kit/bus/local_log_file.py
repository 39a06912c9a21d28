"""The SQLite file of the embedded log, with synchronous=FULL. Blocking calls, each meant for a thread of its own."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import msgspec

from services.kit.bus.protocol import Outgoing, Partition, Record

RecordPosition: TypeAlias = tuple[Partition, int]

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS log_end (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log_record (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, place INTEGER NOT NULL,
        key BLOB, value BLOB, headers BLOB NOT NULL, timestamp INTEGER NOT NULL,
        PRIMARY KEY (topic, partition, place)
    );
    CREATE TABLE IF NOT EXISTS log_commit (
        member_group TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
        PRIMARY KEY (member_group, topic, partition)
    ) WITHOUT ROWID;
"""
_APPEND = "INSERT INTO log_record (topic, partition, place, key, value, headers, timestamp) VALUES (?,?,?,?,?,?,?)"
_READ = """
    SELECT topic, partition, place, key, value, headers, timestamp FROM log_record
    WHERE topic = ? AND partition = ? AND place >= ? ORDER BY place LIMIT ?
"""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


class LocalLogStore:
    """One connection to the file. Not safe for concurrent use by several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            for setting in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                self._db.execute(f"PRAGMA {setting}")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise
        self._round_robin = count()

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """Creates missing topics."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for topic, partitions in topics.items():
                if not self._db.execute("SELECT 1 FROM log_end WHERE topic = ?", (topic,)).fetchone():
                    rows = [(topic, partition) for partition in range(partitions)]
                    self._db.executemany("INSERT INTO log_end (topic, partition, next) VALUES (?, ?, 0)", rows)

    def end_offsets(self, topic: str) -> dict[Partition, int]:
        """Returns the offset after the last record of every partition; empty if there is no such topic."""
        rows = self._db.execute("SELECT partition, next FROM log_end WHERE topic = ? ORDER BY partition", (topic,))
        return {Partition(topic, partition): end for partition, end in rows}

    def append_records(self, records: Sequence[Outgoing], default_partitions: int) -> list[RecordPosition]:
        """Appends all records or none; they are on disk when it returns. Creates missing topics."""
        self.create_topics({record.topic: default_partitions for record in records})
        now = time.time_ns() // 1000
        places: list[RecordPosition] = []
        rows = []
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            ends = {topic: self.end_offsets(topic) for topic in {record.topic for record in records}}
            for record in records:
                end = ends[record.topic]
                number = (next(self._round_robin) if record.key is None else crc32(record.key)) % len(end)
                partition = Partition(record.topic, number)
                offset = end[partition]
                end[partition] = offset + 1
                places.append((partition, offset))
                rows.append((*partition, offset, record.key, record.value, _encode(record.headers), now))
            self._db.executemany(_APPEND, rows)
            new_ends = [(end[partition], *partition) for end in ends.values() for partition in end]
            self._db.executemany("UPDATE log_end SET next = ? WHERE topic = ? AND partition = ?", new_ends)
        return places

    def read_records(self, positions: Sequence[tuple[Partition, int]], limit: int) -> dict[Partition, list[Record]]:
        """Returns at most `limit` records from these positions on, partitions in the order given."""
        found = {}
        for partition, offset in positions:
            rows = self._db.execute(_READ, (*partition, offset, limit)).fetchall()
            if rows:
                found[partition] = [
                    Record(topic, number, place, key, value, _decode(headers), timestamp)
                    for topic, number, place, key, value, headers, timestamp in rows
                ]
                limit -= len(rows)
            if limit <= 0:
                break
        return found

    def earliest_offset(self, partition: Partition) -> int:
        """Returns the earliest available offset."""
        row = self._db.execute(
            "SELECT min(place) FROM log_record WHERE topic = ? AND partition = ?", partition
        ).fetchone()
        return int(row[0]) if row[0] is not None else self.end_offsets(partition.topic).get(partition, 0)

    def commit_offsets(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Stores a group's offsets."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            rows = [(group, *partition, offset) for partition, offset in offsets.items()]
            self._db.executemany("INSERT OR REPLACE INTO log_commit VALUES (?, ?, ?, ?)", rows)

    def committed_offsets(self, group: str) -> dict[Partition, int]:
        """Returns a group's offsets."""
        rows = self._db.execute("SELECT topic, partition, next FROM log_commit WHERE member_group = ?", (group,))
        return {Partition(topic, partition): offset for topic, partition, offset in rows}

    def list_keys(self) -> list[bytes]:
        """Returns every key that a record has."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT key FROM log_record WHERE key IS NOT NULL")]

    def delete_records_of_keys(
        self, keys: Sequence[bytes], read: Mapping[Partition, int]
    ) -> tuple[Counter[bytes], bool]:
        """Deletes the records with these keys, for good; how many by key, and whether none is left. Offsets of the
        others stay as they are.

        `read`: up to where everybody has read each partition of a topic that is consumed. What lies beyond stays, since
        a reader whose last records are gone would never come to the end of the log.
        """
        topics = {partition.topic for partition in read}
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            rows = self._db.execute(
                f"SELECT topic, partition, place, key FROM log_record WHERE key IN ({', '.join('?' * len(keys))})", keys
            ).fetchall()
            passed = [row for row in rows if row[0] not in topics or row[2] < read.get(Partition(row[0], row[1]), 0)]
            places = [row[:3] for row in passed]
            self._db.executemany("DELETE FROM log_record WHERE topic = ? AND partition = ? AND place = ?", places)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Counter(bytes(row[3]) for row in passed), len(passed) == len(rows)

    def delete_records_before(self, before: int, read: Mapping[Partition, int], limit: int) -> int:
        """Deletes at most `limit` records of each partition that were appended before an instant; how many. Offsets of
        the others stay as they are.

        `read`: as for `delete_records_of_keys`. The last record of a partition stays, which keeps its place.
        """
        count = 0
        for topic, partition, end in self._db.execute("SELECT topic, partition, next FROM log_end").fetchall():
            is_consumed = any(each.topic == topic for each in read)
            stop = min(end - 1, read.get(Partition(topic, partition), 0)) if is_consumed else end
            count += self._db.execute(
                "DELETE FROM log_record WHERE topic = ? AND partition = ? AND place IN (SELECT place FROM log_record "
                "WHERE topic = ? AND partition = ? AND place < ? AND timestamp < ? ORDER BY place LIMIT ?)",
                (topic, partition, topic, partition, stop, before, limit),
            ).rowcount
        return count

    def close(self) -> None:
        """Closes the file."""
        self._db.close()
