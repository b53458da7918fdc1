-- Turns that run in the background, from their beginning until their drafts are forgotten.
CREATE TABLE background (
  turn INTEGER PRIMARY KEY,              -- turns.key
  cancelled INTEGER NOT NULL DEFAULT 0,  -- whether it was asked to stop
  ended_at REAL
);
CREATE INDEX background_by_end ON background (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX background_to_stop ON background (turn) WHERE cancelled AND ended_at IS NULL;

-- Turns that are not found by their ids any more, but stay for those that follow them.
CREATE TABLE withdrawn (
  turn INTEGER PRIMARY KEY,              -- turns.key
  tree INTEGER NOT NULL
);
CREATE INDEX withdrawn_by_tree ON withdrawn (tree);
