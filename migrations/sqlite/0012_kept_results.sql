-- Results that are too large for the database are kept apart, each in an object named by workspace, run and digest. Then these say what is there,
-- `output_type` says of what type the bytes are, or is NULL for JSON, and the columns for what was returned are NULL.
ALTER TABLE runs ADD COLUMN kept_digest BLOB;
ALTER TABLE runs ADD COLUMN kept_bytes INTEGER;
