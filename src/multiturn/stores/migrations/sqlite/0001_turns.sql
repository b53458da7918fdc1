-- The tree of turns.
--
-- turns.key is branch * 2^24 + position, the position being the depth on the path, from 0. The table is clustered by
-- its key, so a stretch of a branch is one ordered range read. A branch knows the turn that it leaves its parent at.

CREATE TABLE conversations (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  tree INTEGER NOT NULL,        -- the key of the conversation that planted it
  head INTEGER,                 -- turns.key
  latest INTEGER,               -- turns.key
  model TEXT,
  instructions INTEGER,
  metadata TEXT,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
);
CREATE INDEX conversations_by_tree ON conversations (tree);
CREATE INDEX conversations_by_update ON conversations (updated_at);

CREATE TABLE branches (
  key INTEGER PRIMARY KEY,
  tree INTEGER NOT NULL,
  parent INTEGER                -- turns.key, NULL where the branch is a root
);
CREATE INDEX branches_by_tree ON branches (tree);

CREATE TABLE turns (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation INTEGER NOT NULL, -- conversations.key of the one it was made in
  instructions INTEGER,
  body BLOB NOT NULL             -- the Turn as JSON, without its instructions
);

CREATE INDEX turns_by_instructions ON turns (instructions) WHERE instructions IS NOT NULL;
CREATE INDEX conversations_by_instructions ON conversations (instructions) WHERE instructions IS NOT NULL;

-- Instructions are long and repeat on every turn: kept once.
CREATE TABLE instructions (
  key INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);

-- One row for each turn in progress: the lock on its conversation, and who holds it.
CREATE TABLE running (
  turn INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL UNIQUE,
  runner TEXT NOT NULL
);

-- What running turns have streamed so far.
CREATE TABLE deltas (
  turn INTEGER NOT NULL,
  position INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (turn, position)
) WITHOUT ROWID;
