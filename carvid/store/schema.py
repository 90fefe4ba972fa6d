"""The database `annotations.sqlite` of a dataset folder: its name, its tables and the states of a video."""

from __future__ import annotations

from pathlib import Path

from carvid.store import migrations

DATABASE = "annotations.sqlite"
"""The database's name in the dataset folder."""

SCHEMA_VERSION = migrations.VERSION

MODEL, HAND, RESTORED = "model", "hand", "restored"
"""Where an annotation comes from; a restored one says that the model's counts again, whatever that is by then."""

ACCEPTED, REJECTED, SKIPPED = "accepted", "rejected", "skipped"
"""What a person said of a mask."""

LABELS = ("frames", "objects", "annotations")
"""The tables that a worker fills for its video."""

LABEL_TABLES = """
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
CREATE TABLE objects (
    video_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,            -- from 1 within the video
    query_id INTEGER NOT NULL,
    is_track INTEGER NOT NULL,             -- 1: annotated in the frames that it is in; 0: in every frame
    PRIMARY KEY (video_id, object_id)
) WITHOUT ROWID;
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
"""

TABLES = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    json TEXT NOT NULL,                    -- models with their hashes, thresholds and other options
    sha256 TEXT NOT NULL                   -- of what in it decides the masks
);
CREATE TABLE videos (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                    -- relative to the input's root, as text
    source NOT NULL,                       -- absolute; TEXT, or BLOB where the name is not UTF-8
    start_frame INTEGER NOT NULL,
    stop_frame INTEGER,
    sha256 TEXT,
    size_bytes INTEGER,
    status TEXT NOT NULL,
    error TEXT,
    width INTEGER,
    height INTEGER,
    frame_rate TEXT,                       -- 'num/den'
    frame_count INTEGER,                   -- frames labelled
    damage TEXT NOT NULL DEFAULT '[]',     -- JSON: frames that could not be decoded
    lease_owner TEXT,
    lease_expires REAL                     -- seconds since 1970
);
CREATE UNIQUE INDEX videos_by_source ON videos (source, start_frame, ifnull(stop_frame, -1));
CREATE INDEX videos_by_status ON videos (status, id);
CREATE TABLE queries (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE video_queries (
    video_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    query_id INTEGER NOT NULL,
    PRIMARY KEY (video_id, position)
) WITHOUT ROWID;
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
    + LABEL_TABLES
    + """
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
)


def database_path(dataset: Path) -> Path:
    return dataset / DATABASE
