-- What a server needs: what a conversation was made for (see ConversationRecord), who may ask, turns that run in the
-- background or were withdrawn, and turns that are found by what was said.

ALTER TABLE conversations ADD COLUMN kind text;
CREATE INDEX conversations_made ON conversations (tenant, id) WHERE kind = 'chat.completion'; -- records.LISTED

-- Who may ask a server on this store: never the keys themselves. They are no tenant's, and are found by their own names.
CREATE TABLE api_keys (
  id text COLLATE "C" PRIMARY KEY,
  digest bytea NOT NULL UNIQUE,           -- SHA-256 of the whole key
  tenant text NOT NULL,
  name text,
  created_at double precision NOT NULL,
  revoked_at double precision,
  requests_per_minute integer,
  tokens_per_minute integer
);

-- Turns that run in the background, from their beginning until their drafts are forgotten.
CREATE TABLE background (
  tenant text NOT NULL,
  tree bigint NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  cancelled boolean NOT NULL DEFAULT false, -- whether it was asked to stop
  ended_at double precision,
  PRIMARY KEY (tenant, tree, branch, position)
);
CREATE INDEX background_by_end ON background (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX background_running ON background (tenant, tree, branch, position) WHERE ended_at IS NULL;
CREATE INDEX background_to_stop ON background (tenant, tree, branch, position) WHERE cancelled AND ended_at IS NULL;

-- A turn that was withdrawn is not found by its id any more, but stays for those that follow it.
ALTER TABLE turns ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;
CREATE INDEX turns_withdrawn ON turns (tenant, tree) WHERE withdrawn;

ALTER TABLE turns ADD COLUMN asked bytea; -- texts.digest: Turn.asked, where it is long

-- Turns that are found by what was said up to their end; the third kind of row that is found by its own name.
CREATE TABLE noted (
  tenant text NOT NULL,
  digest bytea NOT NULL,
  tree bigint NOT NULL,
  branch integer NOT NULL,
  position integer NOT NULL,
  PRIMARY KEY (tenant, digest)
);
CREATE INDEX noted_by_turn ON noted (tree, branch, position); -- no tenant: it is not what to look a digest up with


DROP FUNCTION enter, create_conversation, begin_turn;

-- A turn's place, its tree held until the end of the transaction; NULL if it cannot be found.
CREATE FUNCTION hold_turn(_tenant text, _turn text, OUT _tree bigint, OUT _branch integer, OUT _position integer)
LANGUAGE plpgsql AS $$
BEGIN
  SELECT tree INTO _tree FROM turns WHERE tenant = _tenant AND id = _turn AND NOT withdrawn;
  PERFORM 1 FROM trees WHERE tenant = _tenant AND tree = _tree FOR UPDATE;
  SELECT tree, branch, position INTO _tree, _branch, _position
    FROM turns WHERE tenant = _tenant AND id = _turn AND tree = _tree AND NOT withdrawn;
END $$;

-- The tree to begin a turn on, held: the conversation's own, or else its parent's or a new one, with the conversation
-- on it. NULL if there is neither such a conversation nor such a parent.
CREATE FUNCTION enter(
  _tenant text, _conversation text, _user text, _metadata jsonb, _kind text, _now double precision, _parent text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  _tree bigint;
  _branch integer;
  _position integer;
BEGIN
  LOOP
    _tree := hold_tree(_tenant, _conversation);
    IF _tree IS NOT NULL THEN
      RETURN _tree;
    END IF;
    IF _parent IS NULL THEN
      _tree := plant(_tenant, _conversation);
    ELSE
      SELECT * INTO _tree, _branch, _position FROM hold_turn(_tenant, _parent);
      IF _tree IS NULL THEN
        RETURN NULL;
      END IF;
      INSERT INTO names (tenant, id, tree) VALUES (_tenant, _conversation, _tree) ON CONFLICT DO NOTHING;
      IF NOT FOUND THEN
        _tree := NULL;
      END IF;
    END IF;
    IF _tree IS NOT NULL THEN
      INSERT INTO conversations (tenant, tree, id, user_id, head_branch, head_position, metadata, kind, created_at,
                                 updated_at)
        VALUES (_tenant, _tree, _conversation, _user, _branch, _position, _metadata, _kind, _now, _now);
      RETURN _tree;
    END IF;
  END LOOP;
END $$;

-- As it was, with a conversation's kind.
CREATE FUNCTION create_conversation(
  _tenant text, _id text, _user text, _head text, _model text, _instructions bytea, _instructions_body bytea,
  _metadata jsonb, _kind text, _created_at double precision, _updated_at double precision
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
    SELECT * INTO _tree, _branch, _position FROM hold_turn(_tenant, _head);
    IF _tree IS NULL THEN
      RETURN 'no turn';
    END IF;
    INSERT INTO names (tenant, id, tree) VALUES (_tenant, _id, _tree) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      RETURN 'taken';
    END IF;
  END IF;
  PERFORM keep_text(_tenant, _tree, _instructions, _instructions_body);
  INSERT INTO conversations (tenant, tree, id, user_id, head_branch, head_position, latest_branch, latest_position,
                             model, instructions, metadata, kind, created_at, updated_at)
    VALUES (_tenant, _tree, _id, _user, _branch, _position, _branch, _position,
            _model, _instructions, _metadata, _kind, _created_at, _updated_at);
  RETURN 'created';
END $$;

-- As it was, with a conversation's kind, and what was asked; nothing begins at a turn that was withdrawn.
CREATE FUNCTION begin_turn(
  _tenant text, _conversation text, _user text, _metadata jsonb, _kind text, _turn text, _on_head boolean,
  _parent text, _key text, _runner bigint, _now double precision, _begun_at double precision, _day integer,
  _status text, _model text, _instructions bytea, _instructions_body bytea, _asked bytea, _asked_body bytea,
  _body bytea, _digests bytea[], _attachments bytea[],
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
  _tree := enter(_tenant, _conversation, _user, _metadata, _kind, _now, _parent);

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
      FROM turns WHERE tenant = _tenant AND tree = _tree AND id = _parent AND NOT withdrawn;
    IF _parent IS NOT NULL AND NOT FOUND THEN
      _outcome := 'no parent';
      RETURN;
    END IF;
  END IF;
  SELECT * INTO _branch, _position FROM place_below(_tenant, _tree, _branch, _position);

  PERFORM keep_text(_tenant, _tree, _instructions, _instructions_body);
  PERFORM keep_text(_tenant, _tree, _asked, _asked_body);
  INSERT INTO turns (tenant, tree, branch, position, id, conversation, status, answered, day, model, instructions,
                     asked, body)
    VALUES (_tenant, _tree, _branch, _position, _turn, _conversation, _status, false, _day, _model, _instructions,
            _asked, _body);
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

-- As it was, but that a turn that runs in the background keeps what it has streamed.
CREATE OR REPLACE FUNCTION finish_turn(
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
  DELETE FROM deltas
    WHERE tenant = _tenant AND tree = _tree AND branch = _branch AND position = _position AND NOT EXISTS (
      SELECT 1 FROM background
      WHERE tenant = _tenant AND tree = _tree AND branch = _branch AND position = _position);
  UPDATE conversations
    SET updated_at = _at,
        head_branch = CASE WHEN _continues THEN _branch ELSE head_branch END,
        head_position = CASE WHEN _continues THEN _position ELSE head_position END
    WHERE tenant = _tenant AND tree = _tree AND id = _conversation;
  RETURN true;
END $$;
