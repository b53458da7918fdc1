-- The tree of turns.
--
-- A turn's place is its tree, its branch and its position, the position being the depth on the path, from 0; so a
-- stretch of a branch is one ordered range read. A branch knows the turn that it leaves its parent at.
--
-- Every row carries its tenant and its tree, and every key begins with them: the tables shard by tree as they are, and
-- a tree never crosses a shard. The two exceptions are what is found by its own name, `names` and `attachments`.
--
-- Ids compare as bytes do, whatever the database's language: new ones sort after old ones.

-- Which tree a conversation is on.
CREATE TABLE names (
  tenant text NOT NULL DEFAULT '',
  id text COLLATE "C" NOT NULL,
  tree bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

-- Whoever changes a tree's shape, or who stands where on it, holds its row here.
CREATE TABLE trees (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  branches integer NOT NULL DEFAULT 0,    -- how many there have been
  PRIMARY KEY (tenant, tree)
);
CREATE SEQUENCE tree_numbers;

CREATE TABLE conversations (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  user_id text,
  head_branch integer,
  head_position integer,
  latest_branch integer,
  latest_position integer,
  model text,
  instructions bytea,                     -- texts.digest
  metadata jsonb,
  created_at double precision NOT NULL,
  updated_at double precision NOT NULL,
  PRIMARY KEY (tenant, tree, id)
);
CREATE INDEX conversations_by_update ON conversations (tenant, updated_at, id);
CREATE INDEX conversations_by_user ON conversations (tenant, user_id, updated_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX conversations_by_metadata ON conversations USING gin (metadata jsonb_path_ops) WHERE metadata IS NOT NULL;

CREATE TABLE branches (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  branch integer NOT NULL,
  parent_branch integer,                  -- where it leaves its parent; NULL where the branch is a root
  parent_position integer,
  PRIMARY KEY (tenant, tree, branch)
);

CREATE TABLE turns (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  id text COLLATE "C" NOT NULL,
  conversation text COLLATE "C" NOT NULL, -- the one it was made in
  status text NOT NULL,
  answered boolean NOT NULL,              -- see turns.answered in Python
  day integer NOT NULL,                   -- days since the epoch
  model text,
  instructions bytea,                     -- texts.digest
  input_tokens bigint,                    -- what the turn itself used; NULL for nothing
  output_tokens bigint,
  cached_tokens bigint,
  cache_write_tokens bigint,
  reasoning_tokens bigint,
  cost_usd double precision,
  body bytea NOT NULL,                    -- see stores/rows.py
  PRIMARY KEY (tenant, tree, branch, position)
);
CREATE UNIQUE INDEX turns_by_id ON turns (id, tenant, tree) INCLUDE (branch, position);

-- Instructions, once for each tree.
CREATE TABLE texts (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  digest bytea NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant, tree, digest)
);

-- One row for each turn in progress: the lock on its conversation, and who holds it. A runner is alive while a session
-- holds the advisory lock of its number.
CREATE TABLE running (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  conversation text COLLATE "C" NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  runner bigint NOT NULL,
  PRIMARY KEY (tenant, tree, conversation)
);

-- What running turns have streamed so far.
CREATE TABLE deltas (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  piece bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant, tree, branch, position, piece)
);

-- The turns that were asked for under an idempotency key.
CREATE TABLE keys (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  conversation text COLLATE "C" NOT NULL,
  key text NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  PRIMARY KEY (tenant, tree, conversation, key)
);

-- The bytes of images, recordings and files, once each, and the turns that hold them.
CREATE TABLE attachments (
  tenant text NOT NULL DEFAULT '',
  digest bytea NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant, digest)
);
CREATE TABLE attached (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  digest bytea NOT NULL,
  PRIMARY KEY (tenant, tree, branch, position, digest)
);
CREATE INDEX attached_by_digest ON attached (tenant, digest);

-- The words of every turn that has ended, folded and split in Python (stores/expressions.py). Phrases are checked
-- against the turns themselves.
CREATE TABLE said (
  tenant text NOT NULL DEFAULT '',
  tree bigint NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  words tsvector NOT NULL,
  PRIMARY KEY (tenant, tree, branch, position)
);
CREATE INDEX said_by_words ON said USING gin (words);


-- What happens on every turn is a function, so that it costs one round trip. Statements are planned once for a
-- connection, often while the tables are small; so they look things up by whole keys, one after another, and do not join.

-- Whether nobody holds this runner's lock any more.
CREATE FUNCTION is_gone(_runner bigint) RETURNS boolean LANGUAGE sql AS $$
  SELECT pg_try_advisory_xact_lock_shared(_runner)
$$;

-- The id of the turn at a place; NULL if there is none.
CREATE FUNCTION turn_at(_tenant text, _tree bigint, _branch integer, _position integer) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  RETURN (
    SELECT id FROM turns WHERE tenant = _tenant AND tree = _tree AND branch = _branch AND position = _position
  );
END $$;

-- The conversation's tree, held until the end of the transaction; NULL if there is no such conversation.
CREATE FUNCTION hold_tree(_tenant text, _conversation text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint;
BEGIN
  LOOP
    SELECT tree INTO _tree FROM names WHERE tenant = _tenant AND id = _conversation;
    EXIT WHEN NOT FOUND;
    PERFORM 1 FROM trees WHERE tenant = _tenant AND tree = _tree FOR UPDATE;
    EXIT WHEN EXISTS (SELECT 1 FROM names WHERE tenant = _tenant AND id = _conversation AND tree = _tree);
  END LOOP;
  RETURN _tree;
END $$;

-- A new tree for a new conversation; NULL if there is one of this id.
CREATE FUNCTION plant(_tenant text, _conversation text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint := nextval('tree_numbers');
BEGIN
  INSERT INTO names (tenant, id, tree) VALUES (_tenant, _conversation, _tree) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO trees (tenant, tree) VALUES (_tenant, _tree);
  RETURN _tree;
END $$;

-- The tree to begin a turn on: the conversation's own, held, or a new one with the conversation on it, unless a parent
-- must be there already.
CREATE FUNCTION enter(
  _tenant text, _conversation text, _user text, _metadata jsonb, _now double precision, _parent text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint;
BEGIN
  LOOP
    _tree := hold_tree(_tenant, _conversation);
    IF _tree IS NOT NULL OR _parent IS NOT NULL THEN
      RETURN _tree;
    END IF;
    _tree := plant(_tenant, _conversation);
    IF _tree IS NOT NULL THEN
      INSERT INTO conversations (tenant, tree, id, user_id, metadata, created_at, updated_at)
        VALUES (_tenant, _tree, _conversation, _user, _metadata, _now, _now);
      RETURN _tree;
    END IF;
  END LOOP;
END $$;

-- The place for a new child of this turn: the next on the same branch, or the first of a new branch if that is taken.
CREATE FUNCTION place_below(_tenant text, _tree bigint, INOUT _branch integer, INOUT _position integer)
LANGUAGE plpgsql AS $$
DECLARE
  _parent_branch integer := _branch;
  _parent_position integer := _position;
BEGIN
  _position := coalesce(_parent_position + 1, 0);
  IF _branch IS NULL OR turn_at(_tenant, _tree, _branch, _position) IS NOT NULL THEN
    UPDATE trees SET branches = branches + 1 WHERE tenant = _tenant AND tree = _tree RETURNING branches INTO _branch;
    INSERT INTO branches (tenant, tree, branch, parent_branch, parent_position)
      VALUES (_tenant, _tree, _branch, _parent_branch, _parent_position);
  END IF;
END $$;

CREATE FUNCTION keep_text(_tenant text, _tree bigint, _digest bytea, _body bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF _digest IS NOT NULL THEN
    INSERT INTO texts (tenant, tree, digest, body) VALUES (_tenant, _tree, _digest, _body) ON CONFLICT DO NOTHING;
  END IF;
END $$;

-- Keep what a turn holds. An attachment that is there already is locked, so that nobody drops it meanwhile.
CREATE FUNCTION attach(
  _tenant text, _tree bigint, _branch integer, _position integer, _digests bytea[], _bodies bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF cardinality(_digests) = 0 THEN
    RETURN;
  END IF;
  INSERT INTO attachments (tenant, digest, body)
    SELECT _tenant, new.digest, new.body FROM unnest(_digests, _bodies) AS new (digest, body) ORDER BY new.digest
    ON CONFLICT (tenant, digest) DO UPDATE SET digest = excluded.digest;
  INSERT INTO attached (tenant, tree, branch, position, digest)
    SELECT _tenant, _tree, _branch, _position, new.digest FROM unnest(_digests) AS new (digest)
    ON CONFLICT DO NOTHING;
END $$;

-- Create a conversation; `taken` if there is one of this id, `no turn` if there is no such head.
CREATE FUNCTION create_conversation(
  _tenant text, _id text, _user text, _head text, _model text, _instructions bytea, _instructions_body bytea,
  _metadata jsonb, _created_at double precision, _updated_at double precision
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint;
  _branch integer;
  _position integer;
BEGIN
  IF _head IS NULL THEN
    _tree := plant(_tenant, _id);
    IF _tree IS NULL THEN
      RETURN 'taken';
    END IF;
  ELSE
    SELECT tree INTO _tree FROM turns WHERE tenant = _tenant AND id = _head;
    PERFORM 1 FROM trees WHERE tenant = _tenant AND tree = _tree FOR UPDATE;
    SELECT branch, position INTO _branch, _position FROM turns WHERE tenant = _tenant AND id = _head AND tree = _tree;
    IF NOT FOUND THEN
      RETURN 'no turn';
    END IF;
    INSERT INTO names (tenant, id, tree) VALUES (_tenant, _id, _tree) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      RETURN 'taken';
    END IF;
  END IF;
  PERFORM keep_text(_tenant, _tree, _instructions, _instructions_body);
  INSERT INTO conversations (tenant, tree, id, user_id, head_branch, head_position, latest_branch, latest_position,
                             model, instructions, metadata, created_at, updated_at)
    VALUES (_tenant, _tree, _id, _user, _branch, _position, _branch, _position,
            _model, _instructions, _metadata, _created_at, _updated_at);
  RETURN 'created';
END $$;

-- Write a new turn and take the lock on its conversation. What came of it is `_outcome`:
--   begun      the turn is written; `_above` is its parent
--   again      it was already, though the connection was lost before the answer came
--   answered   it was asked for and answered under this key before, as turn `_other`
--   busy       turn `_other` runs; `_holder` is its runner
--   gone       turn `_other` should run, but its runner is gone
--   no parent  there is no such turn on the conversation's tree
--   lost       the runner does not hold its own lock
CREATE FUNCTION begin_turn(
  _tenant text, _conversation text, _user text, _metadata jsonb, _turn text, _on_head boolean, _parent text, _key text,
  _runner bigint, _now double precision, _begun_at double precision, _day integer, _status text, _model text,
  _instructions bytea, _instructions_body bytea, _body bytea, _digests bytea[], _attachments bytea[],
  OUT _outcome text, OUT _above text, OUT _other text, OUT _holder bigint
) LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint;
  _branch integer;
  _position integer;
BEGIN
  IF is_gone(_runner) THEN
    _outcome := 'lost';
    RETURN;
  END IF;
  _tree := enter(_tenant, _conversation, _user, _metadata, _now, _parent);

  -- Does one run already?
  SELECT branch, position, runner INTO _branch, _position, _holder
    FROM running WHERE tenant = _tenant AND tree = _tree AND conversation = _conversation;
  IF FOUND THEN
    _other := turn_at(_tenant, _tree, _branch, _position);
    IF _other = _turn THEN
      UPDATE running SET runner = _runner WHERE tenant = _tenant AND tree = _tree AND conversation = _conversation;
      _outcome := 'again';
    ELSE
      _outcome := CASE WHEN is_gone(_holder) THEN 'gone' ELSE 'busy' END;
    END IF;
    RETURN;
  END IF;
  IF _key IS NOT NULL THEN
    SELECT branch, position INTO _branch, _position
      FROM keys WHERE tenant = _tenant AND tree = _tree AND conversation = _conversation AND key = _key;
    SELECT id INTO _other
      FROM turns WHERE tenant = _tenant AND tree = _tree AND branch = _branch AND position = _position AND answered;
    IF FOUND THEN
      _outcome := 'answered';
      RETURN;
    END IF;
  END IF;

  -- Where does it go?
  IF _on_head THEN
    SELECT head_branch, head_position INTO _branch, _position
      FROM conversations WHERE tenant = _tenant AND tree = _tree AND id = _conversation;
    _above := turn_at(_tenant, _tree, _branch, _position);
  ELSE
    SELECT id, branch, position INTO _above, _branch, _position
      FROM turns WHERE tenant = _tenant AND tree = _tree AND id = _parent;
    IF _parent IS NOT NULL AND NOT FOUND THEN
      _outcome := 'no parent';
      RETURN;
    END IF;
  END IF;
  SELECT * INTO _branch, _position FROM place_below(_tenant, _tree, _branch, _position);

  PERFORM keep_text(_tenant, _tree, _instructions, _instructions_body);
  INSERT INTO turns
    (tenant, tree, branch, position, id, conversation, status, answered, day, model, instructions, body)
    VALUES
    (_tenant, _tree, _branch, _position, _turn, _conversation, _status, false, _day, _model, _instructions, _body);
  PERFORM attach(_tenant, _tree, _branch, _position, _digests, _attachments);
  INSERT INTO running (tenant, tree, conversation, branch, position, runner)
    VALUES (_tenant, _tree, _conversation, _branch, _position, _runner);
  IF _key IS NOT NULL THEN
    INSERT INTO keys (tenant, tree, conversation, key, branch, position)
      VALUES (_tenant, _tree, _conversation, _key, _branch, _position)
      ON CONFLICT (tenant, tree, conversation, key) DO UPDATE SET branch = _branch, position = _position;
  END IF;
  UPDATE conversations
    SET latest_branch = _branch, latest_position = _position, model = _model, instructions = _instructions,
        updated_at = _begun_at
    WHERE tenant = _tenant AND tree = _tree AND id = _conversation;
  _outcome := 'begun';
END $$;

-- Write an ended turn, give the lock back, and move the head if the turn goes on from there. False if the lock is not
-- this runner's any more, unless this very end is what is stored.
CREATE FUNCTION finish_turn(
  _tenant text, _turn text, _runner bigint, _status text, _answered boolean, _continues boolean,
  _at double precision, _input_tokens bigint, _output_tokens bigint, _cached_tokens bigint, _cache_write_tokens bigint,
  _reasoning_tokens bigint, _cost_usd double precision, _body bytea, _words text[], _digests bytea[],
  _attachments bytea[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint;
  _branch integer;
  _position integer;
  _conversation text;
BEGIN
  SELECT tree, branch, position, conversation INTO _tree, _branch, _position, _conversation
    FROM turns WHERE tenant = _tenant AND id = _turn;
  DELETE FROM running
    WHERE tenant = _tenant AND tree = _tree AND conversation = _conversation
      AND branch = _branch AND position = _position AND runner = _runner;
  IF NOT FOUND THEN
    RETURN EXISTS (SELECT 1 FROM turns WHERE tenant = _tenant AND id = _turn AND tree = _tree AND body = _body);
  END IF;
  UPDATE turns
    SET status = _status, answered = _answered, input_tokens = _input_tokens, output_tokens = _output_tokens,
        cached_tokens = _cached_tokens, cache_write_tokens = _cache_write_tokens,
        reasoning_tokens = _reasoning_tokens, cost_usd = _cost_usd, body = _body
    WHERE tenant = _tenant AND tree = _tree AND branch = _branch AND position = _position;
  PERFORM attach(_tenant, _tree, _branch, _position, _digests, _attachments);
  IF cardinality(_words) > 0 THEN
    INSERT INTO said (tenant, tree, branch, position, words)
      VALUES (_tenant, _tree, _branch, _position, array_to_tsvector(_words));
  END IF;
  DELETE FROM deltas WHERE tenant = _tenant AND tree = _tree AND branch = _branch AND position = _position;
  UPDATE conversations
    SET updated_at = _at,
        head_branch = CASE WHEN _continues THEN _branch ELSE head_branch END,
        head_position = CASE WHEN _continues THEN _position ELSE head_position END
    WHERE tenant = _tenant AND tree = _tree AND id = _conversation;
  RETURN true;
END $$;
