BEGIN TRANSACTION;
CREATE TABLE annotations (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    query_id INTEGER NOT NULL,
    rle TEXT NOT NULL,                     -- counts of COCO's compressed run-length code
    label_rle TEXT,                        -- the part that no other query claims more; NULL: all of the mask
    box_x INTEGER, box_y INTEGER, box_w INTEGER, box_h INTEGER,  -- px, NULL for an empty mask
    area_px INTEGER NOT NULL,
    score REAL NOT NULL,
    present INTEGER NOT NULL,
    proposal_iou REAL,                     -- IoU of the proposal cut at eta with the mask
    PRIMARY KEY (video_id, frame_index, query_id)
) WITHOUT ROWID;
INSERT INTO "annotations" VALUES(1,0,1,'PkS3',NULL,NULL,NULL,NULL,NULL,0,3.00424716215275111608e-08,0,NULL);
INSERT INTO "annotations" VALUES(1,0,2,'PkS3',NULL,NULL,NULL,NULL,NULL,0,1.40104305934585227078e-09,0,NULL);
INSERT INTO "annotations" VALUES(1,0,3,'Wc42\72N2JKnH8S72KFSI;l6ERI>m63O1K^OZId0f63LYO^Ih0`6XO`Ij0^65N3N1M3N2N2N2N2N3M2N2N2N2N002N2N2N2N2N2N2N2M3O1M3O0O2N200O1001O2N002N1O2N2N1O2N2N1O2N1O2M2O2N1O1O2N2N1O1O2N2N1O2M3N1O1O2N1O2N2M200N3N2N2N1O2N002N2N2N1N2O2N2N1O1O3KboX2',NULL,19,66,95,89,4435,9.55476403236389160156e-01,1,0.894382997180655);
INSERT INTO "annotations" VALUES(1,1,1,'PkS3',NULL,NULL,NULL,NULL,NULL,0,6.04544183602229168172e-08,0,NULL);
INSERT INTO "annotations" VALUES(1,1,2,'PkS3',NULL,NULL,NULL,NULL,NULL,0,2.70089950404894807434e-10,0,NULL);
INSERT INTO "annotations" VALUES(1,1,3,'UT42\74K3O1M3O1M3O1N2N1O2O1L4N2O1M3N2M3O1M3O1M3O1M3O1M3O1M3N2N2O1M3O1N2M3N2N200M3N2O1N2O100002N002N1O2N2M2O1O2N2N1O2N1O2N1O2N2N1N3N1O2N2N1N3N1O2N1O2N1O2N1O2N2N2N1O1O1O3M1O2N1N3N1O2N1O2N1N3N2N2N`^Y2',NULL,17,66,95,87,4385,0.960460901260376,1,8.98873923603444424657e-01);
INSERT INTO "annotations" VALUES(1,2,1,'PkS3',NULL,NULL,NULL,NULL,NULL,0,3.40757395633772830478e-08,0,NULL);
INSERT INTO "annotations" VALUES(1,2,2,'PkS3',NULL,NULL,NULL,NULL,NULL,0,5.95989368967764221451e-11,0,NULL);
INSERT INTO "annotations" VALUES(1,2,3,'e]33[72KLkH7U72O1L4N2N2N2N\OXIe0f63N2N2N2N2N2N2N2N1O2N2M3O1N2O1N2N2N3N1N2N2N2N1O2N2N2N2N2N2N2O1N3N1N20O011O1O1O1O1O2O1N1O1O2L3O2N1O2N2N2N2N1O2N1O1N4M1O1O2N1O3M002N2N2N3M1O2M3NOTO`Ij0d6OOWO]Ig0f603M0O3N1O2N1O3M1O2N1O2M3NoeY2',NULL,14,65,97,88,4559,9.42368805408477783203e-01,1,0.886834620073141);
INSERT INTO "annotations" VALUES(2,0,1,'PkS3',NULL,NULL,NULL,NULL,NULL,0,1.05865592558984644711e-06,0,NULL);
INSERT INTO "annotations" VALUES(2,0,2,'PkS3',NULL,NULL,NULL,NULL,NULL,0,4.31565979397419141605e-07,0,NULL);
INSERT INTO "annotations" VALUES(2,0,3,'PkS3',NULL,NULL,NULL,NULL,NULL,0,2.37924832617864e-05,0,0.0);
INSERT INTO "annotations" VALUES(2,1,1,'PkS3',NULL,NULL,NULL,NULL,NULL,0,3.96412997361039742827e-06,0,NULL);
INSERT INTO "annotations" VALUES(2,1,2,'PkS3',NULL,NULL,NULL,NULL,NULL,0,8.39595131196802e-08,0,NULL);
INSERT INTO "annotations" VALUES(2,1,3,'PkS3',NULL,NULL,NULL,NULL,NULL,0,7.88236138760112226009e-06,0,0.0);
INSERT INTO "annotations" VALUES(2,2,1,'PkS3',NULL,NULL,NULL,NULL,NULL,0,1.36180787535522540565e-07,0,NULL);
INSERT INTO "annotations" VALUES(2,2,2,'PkS3',NULL,NULL,NULL,NULL,NULL,0,1.25877434697940771002e-07,0,NULL);
INSERT INTO "annotations" VALUES(2,2,3,'PkS3',NULL,NULL,NULL,NULL,NULL,0,1.00004101113881915807e-04,0,0.0);
CREATE TABLE frames (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,          -- ordinal of the decoded frame in display order, from 0
    name TEXT NOT NULL,
    pts_seconds REAL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (video_id, frame_index)
) WITHOUT ROWID;
INSERT INTO "frames" VALUES(1,0,'00000',NULL,426,240);
INSERT INTO "frames" VALUES(1,1,'00001',NULL,426,240);
INSERT INTO "frames" VALUES(1,2,'00002',NULL,426,240);
INSERT INTO "frames" VALUES(2,0,'00000',NULL,426,240);
INSERT INTO "frames" VALUES(2,1,'00001',NULL,426,240);
INSERT INTO "frames" VALUES(2,2,'00002',NULL,426,240);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "meta" VALUES('schema_version','1');
INSERT INTO "meta" VALUES('carvid','0.1.0');
INSERT INTO "meta" VALUES('created','2026-11-25T12:35:07+00:00');
CREATE TABLE queries (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
INSERT INTO "queries" VALUES(1,'the red circle');
INSERT INTO "queries" VALUES(2,'the blue square');
INSERT INTO "queries" VALUES(3,'the green triangle');
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    json TEXT NOT NULL,                    -- models with their hashes, thresholds and other options
    sha256 TEXT NOT NULL                   -- of what in it decides the masks
);
INSERT INTO "settings" VALUES(1,'{"device": "cpu", "dtype": "float32", "models": {"classifier": {"name": "shapes/classifier", "sha256": "2350de76be5fca576fbcbd6c40d15966f3cd4cbe997aa4a19d9f5254e78e0be2", "source": "@MODELS@/classifier"}, "proposer": {"name": "shapes/proposer", "sha256": "6474dcaf260f99c72dda27cbef5bbc11aca55071de7f8389d2f09d792a166b18", "source": "@MODELS@/proposer"}}, "settings": {"background": ["ground", "land", "grass", "building", "wall", "sky", "lake", "water", "river", "sea", "railway", "railroad", "helmet", "cloud", "mountain", "ocean", "road", "rock", "street", "valley", "bridge"], "background_groups": [], "background_template": "a clean origami {}.", "cam": "gradcam", "crf": true, "eta": 0.5, "keep_best": false, "lam": 0.5, "mode": "refer", "model": "shapes", "negatives": null, "preset": "shapes", "prompts": ["contour", "gray"], "proposer_template": "{}", "templates": ["{}"], "theta": 0.05}, "stream": {"every": 1, "reader": "pyav", "strict": false}, "truncate": false}','06bd7fad3a1f8b0517fb0e0ca1a04d107ee6394080885a498b6771a4a214e821');
CREATE TABLE video_queries (
    video_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    query_id INTEGER NOT NULL,
    PRIMARY KEY (video_id, position)
) WITHOUT ROWID;
INSERT INTO "video_queries" VALUES(1,0,1);
INSERT INTO "video_queries" VALUES(1,1,2);
INSERT INTO "video_queries" VALUES(1,2,3);
INSERT INTO "video_queries" VALUES(2,0,1);
INSERT INTO "video_queries" VALUES(2,1,2);
INSERT INTO "video_queries" VALUES(2,2,3);
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
INSERT INTO "videos" VALUES(1,'shapes-000','@VIDEOS@/shapes-000',0,NULL,'aed6bd81da232260491d08ee283dd16b16023ad6451f0f53c02f66a3311469fc',60281,'done',NULL,426,240,NULL,3,'[]',NULL,NULL);
INSERT INTO "videos" VALUES(2,'shapes-001','@VIDEOS@/shapes-001',0,NULL,'7d319c14190b904b5909d1cb1fbc08a0ae491161fed437990b159538702763af',68468,'done',NULL,426,240,NULL,3,'[]',NULL,NULL);
CREATE UNIQUE INDEX videos_by_source ON videos (source, start_frame, ifnull(stop_frame, -1));
CREATE INDEX videos_by_status ON videos (status, id);
COMMIT;
