"""How a dataset of an earlier schema version becomes one of the next, step by step."""

from __future__ import annotations

import sqlite3

# The new table has more columns than the old one, so the insert of an earlier carvid that still has the database
# open fails, instead of taking query ids for object ids.
_TO_2 = """
CREATE TABLE objects (
    video_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,            -- from 1 within the video
    query_id INTEGER NOT NULL,
    PRIMARY KEY (video_id, object_id)
) WITHOUT ROWID;
INSERT INTO objects
    SELECT video_id, position + 1, query_id FROM video_queries JOIN videos ON id = video_id
    WHERE status = 'done';
ALTER TABLE annotations RENAME TO annotations_1;
CREATE TABLE annotations (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,             -- 0: the model's; 1, 2, ...: corrections, in order
    source TEXT NOT NULL,                  -- 'model', 'hand', or 'restored': the model's counts again
    created TEXT,                          -- UTC, of a correction; NULL for the model's
    query_id INTEGER NOT NULL,             -- the object's query and
    width INTEGER NOT NULL,                -- the frame's size in px when the mask was made
    height INTEGER NOT NULL,
    rle TEXT NOT NULL,                     -- counts of COCO's compressed run-length code
    label_rle TEXT,                        -- the part that no other object claims more; NULL: all of the mask
    box_x INTEGER, box_y INTEGER, box_w INTEGER, box_h INTEGER,  -- px, NULL for an empty mask
    area_px INTEGER NOT NULL,
    score REAL,                            -- NULL for a correction
    present INTEGER NOT NULL,
    proposal_iou REAL,                     -- IoU of the proposal cut at eta with the mask
    PRIMARY KEY (video_id, frame_index, object_id, revision)
) WITHOUT ROWID;
INSERT INTO annotations
    SELECT video_id, frame_index, object_id, 0, 'model', NULL, query_id, width, height,
        rle, label_rle, box_x, box_y, box_w, box_h, area_px, score, present, proposal_iou
    FROM annotations_1 JOIN frames USING (video_id, frame_index) JOIN objects USING (video_id, query_id);
DROP TABLE annotations_1;
"""

_TO_3 = """
ALTER TABLE frames RENAME TO frames_2;
CREATE TABLE frames (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,          -- ordinal of the decoded frame in display order, from 0
    name TEXT NOT NULL,
    pts_seconds REAL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    is_key INTEGER,                        -- whether the engine was run on it; NULL, as the next two, if on all frames
    confidence REAL,                       -- of the masks carried to it, in [0, 1]; 1 at a key
    keys TEXT,                             -- JSON: indices of the frames they were carried from; at a key its own
    PRIMARY KEY (video_id, frame_index)
) WITHOUT ROWID;
INSERT INTO frames
    SELECT video_id, frame_index, name, pts_seconds, width, height, NULL, NULL, NULL FROM frames_2;
DROP TABLE frames_2;
ALTER TABLE objects RENAME TO objects_2;
CREATE TABLE objects (
    video_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,            -- from 1 within the video
    query_id INTEGER NOT NULL,
    is_track INTEGER NOT NULL,             -- 1: annotated in the frames that it is in; 0: in every frame
    PRIMARY KEY (video_id, object_id)
) WITHOUT ROWID;
INSERT INTO objects SELECT video_id, object_id, query_id, 0 FROM objects_2;
DROP TABLE objects_2;
"""

_TO_4 = """
CREATE TABLE pieces (                      -- of videos that are not done
    video_id INTEGER NOT NULL,
    number INTEGER NOT NULL,               -- from 0
    status TEXT NOT NULL,                  -- 'running', 'done' or 'failed'; one that waits has no row
    error TEXT,                            -- why it failed or has no frame
    is_last INTEGER,                       -- whether the video ends in it or before it; this and the next when done
    sha256 TEXT,                           -- of the first piece
    size_bytes INTEGER,
    width INTEGER,
    height INTEGER,
    frame_rate TEXT,
    frame_count INTEGER,                   -- frames labelled, so far if it is running
    damage TEXT NOT NULL DEFAULT '[]',     -- as of a video, met on the way to its end
    lease_owner TEXT,
    lease_expires REAL,
    PRIMARY KEY (video_id, number)
) WITHOUT ROWID;
"""

_TO_5 = """
CREATE TABLE verdicts (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,             -- of the mask that was seen; of no other one does it count
    verdict TEXT NOT NULL,                 -- 'accepted', 'rejected' or 'skipped'
    created TEXT NOT NULL,                 -- UTC
    PRIMARY KEY (video_id, frame_index, object_id)
) WITHOUT ROWID;
CREATE TABLE labellings (
    video_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL                -- how often it has been labelled
);
CREATE INDEX corrections_by_mask ON annotations (video_id, frame_index, object_id, revision, source)
    WHERE revision > 0;
"""

STEPS = (_TO_2, _TO_3, _TO_4, _TO_5)
"""The first leads from version 1 to 2, and so on. A step stays as it is: it upgrades what was written long ago."""

VERSION = 1 + len(STEPS)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Lead the tables from `version` to `VERSION`, within the caller's transaction."""
    for number, step in enumerate(STEPS[version - 1 :], version + 1):
        # Not executescript, which would commit first.
        for statement in step.split(";\n"):
            connection.execute(statement)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(number),))
