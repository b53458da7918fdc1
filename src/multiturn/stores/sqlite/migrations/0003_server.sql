-- What a server needs.
--
-- Tenants: an id is one tenant's, and another may have the same. `''` is the tenant of whoever has none. A tree never
-- crosses tenants, so that a turn's tenant is that of its conversation; it stands with the turn too, for looking it up.

ALTER TABLE conversations RENAME TO old_conversations;
DROP INDEX conversations_by_tree;
DROP INDEX conversations_by_update;
DROP INDEX conversations_by_user;
CREATE TABLE conversations (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  tree INTEGER NOT NULL,        -- the key of the conversation that planted it
  kind TEXT,                    -- what it was made for; see ConversationRecord
  user TEXT,
  head INTEGER,                 -- turns.key
  latest INTEGER,               -- turns.key
  model TEXT,
  instructions INTEGER,         -- texts.key
  metadata TEXT,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  UNIQUE (id, tenant)           -- in this order, so that new ids come at the end
);
INSERT INTO conversations
  SELECT key, id, '', tree, NULL, user, head, latest, model, instructions, metadata, created_at, updated_at
  FROM old_conversations ORDER BY key;
DROP TABLE old_conversations;
CREATE INDEX conversations_by_tree ON conversations (tree);
CREATE INDEX conversations_by_update ON conversations (tenant, updated_at, id);
CREATE INDEX conversations_by_user ON conversations (tenant, user, updated_at, id) WHERE user IS NOT NULL;
CREATE INDEX conversations_by_instructions ON conversations (instructions) WHERE instructions IS NOT NULL;
CREATE INDEX conversations_made ON conversations (tenant, id) WHERE kind = 'chat.completion'; -- records.LISTED

ALTER TABLE turns RENAME TO old_turns;
DROP INDEX turns_by_instructions;
CREATE TABLE turns (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
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
  answered INTEGER,              -- texts.key: who answered and why it ended, where one message did
  asked INTEGER,                 -- texts.key: Turn.asked, where it is long
  body BLOB NOT NULL,            -- see stores/rows.py
  UNIQUE (id, tenant)
);
INSERT INTO turns
  SELECT key, id, '', conversation, instructions, status, day, model, input_tokens, output_tokens, cached_tokens,
    cache_write_tokens, reasoning_tokens, cost_usd, answered, NULL, body
  FROM old_turns ORDER BY key;
DROP TABLE old_turns;
CREATE INDEX turns_by_instructions ON turns (instructions) WHERE instructions IS NOT NULL;
CREATE INDEX turns_by_asked ON turns (asked) WHERE asked IS NOT NULL;

ALTER TABLE texts ADD COLUMN is_name INTEGER NOT NULL DEFAULT 0; -- a model's and the like, which stays
UPDATE texts SET is_name = 1 WHERE key IN (SELECT model FROM turns UNION SELECT answered FROM turns);
DELETE FROM texts WHERE NOT is_name -- left over from conversations that have other instructions now
  AND NOT EXISTS (SELECT 1 FROM turns WHERE instructions = texts.key)
  AND NOT EXISTS (SELECT 1 FROM conversations WHERE instructions = texts.key);

-- Who may ask a server on this store: never the keys themselves.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,  -- SHA-256 of the whole key
  tenant TEXT NOT NULL,
  name TEXT,
  created_at REAL NOT NULL,
  revoked_at REAL,
  requests_per_minute INTEGER,
  tokens_per_minute INTEGER
) WITHOUT ROWID;

-- Turns that run in the background, from their beginning until their drafts are forgotten.
CREATE TABLE background (
  turn INTEGER PRIMARY KEY,              -- turns.key
  cancelled INTEGER NOT NULL DEFAULT 0,  -- whether it was asked to stop
  ended_at REAL
);
CREATE INDEX background_by_end ON background (ended_at, cancelled);

-- Turns that are not found by their ids any more, but stay for those that follow them.
CREATE TABLE withdrawn (
  turn INTEGER PRIMARY KEY               -- turns.key
);

-- Turns that are found by what was said up to their end.
CREATE TABLE noted (
  digest BLOB NOT NULL,
  tenant TEXT NOT NULL,
  turn INTEGER NOT NULL,                 -- turns.key
  PRIMARY KEY (digest, tenant)
) WITHOUT ROWID;
CREATE INDEX noted_by_turn ON noted (turn);
