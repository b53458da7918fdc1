-- The tree of turns.
--
-- turns.key is branch * 2^24 + position, the position being the depth on the path, from 0. The table is clustered by
-- its key, so a stretch of a branch is one ordered range read. A branch knows the turn that it leaves its parent at.

CREATE TABLE conversations (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  tree INTEGER NOT NULL,        -- the key of the conversation that planted it
  user TEXT,
  head INTEGER,                 -- turns.key
  latest INTEGER,               -- turns.key
  model TEXT,
  instructions INTEGER,         -- texts.key
  metadata TEXT,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
);
CREATE INDEX conversations_by_tree ON conversations (tree);
CREATE INDEX conversations_by_update ON conversations (updated_at, id);
CREATE INDEX conversations_by_user ON conversations (user, updated_at, id) WHERE user IS NOT NULL;

CREATE TABLE branches (
  key INTEGER PRIMARY KEY,
  tree INTEGER NOT NULL,
  parent INTEGER                -- turns.key, NULL where the branch is a root
);
CREATE INDEX branches_by_tree ON branches (tree, parent);

CREATE TABLE turns (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation INTEGER NOT NULL, -- conversations.key of the one it was made in
  instructions INTEGER,          -- texts.key
  status INTEGER NOT NULL,       -- its place in TurnStatus, from 0
  day INTEGER NOT NULL,          -- days since the epoch
  model INTEGER,                 -- texts.key
  input_tokens INTEGER,          -- what the turn itself used; NULL for nothing
  output_tokens INTEGER,
  cached_tokens INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens INTEGER,
  cost_usd REAL,
  body BLOB NOT NULL             -- see stores/rows.py
);
CREATE INDEX turns_by_instructions ON turns (instructions) WHERE instructions IS NOT NULL;

-- What is long and repeats on many turns: instructions, and names of models.
CREATE TABLE texts (
  key INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  body BLOB NOT NULL
);

-- One row for each turn in progress: the lock on its conversation, and who holds it.
CREATE TABLE running (
  conversation INTEGER PRIMARY KEY,
  turn INTEGER NOT NULL,
  runner TEXT NOT NULL
);

-- What running turns have streamed so far.
CREATE TABLE deltas (
  turn INTEGER NOT NULL,
  position INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (turn, position)
) WITHOUT ROWID;

-- The turns that were asked for under an idempotency key.
CREATE TABLE keys (
  conversation INTEGER NOT NULL,
  key TEXT NOT NULL,
  turn INTEGER NOT NULL,
  PRIMARY KEY (conversation, key)
) WITHOUT ROWID;

-- The bytes of images, recordings and files, once each, and the turns that hold them.
CREATE TABLE attachments (
  digest BLOB PRIMARY KEY,
  body BLOB NOT NULL
);
CREATE TABLE attached (
  turn INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (turn, digest)
) WITHOUT ROWID;
CREATE INDEX attached_by_digest ON attached (digest);

-- The words of every turn that has ended, by turns.key. Phrases are checked against the turns themselves.
CREATE VIRTUAL TABLE said USING fts5 (text, content='', detail='none', columnsize=0);
INSERT INTO said (said, rank) VALUES ('automerge', 2); -- smaller, for a little more work
