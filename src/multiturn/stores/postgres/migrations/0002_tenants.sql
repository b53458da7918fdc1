-- What a conversation was made for (see ConversationRecord), and who may ask a server on this store.

ALTER TABLE conversations ADD COLUMN kind text;

-- Never the keys themselves. They are no tenant's, and are found by their own names.
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


-- As they were, with a conversation's kind.
DROP FUNCTION enter, create_conversation, begin_turn;

CREATE FUNCTION enter(
  _tenant text, _conversation text, _user text, _metadata jsonb, _kind text, _now double precision, _parent text
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
      INSERT INTO conversations (tenant, tree, id, user_id, metadata, kind, created_at, updated_at)
        VALUES (_tenant, _tree, _conversation, _user, _metadata, _kind, _now, _now);
      RETURN _tree;
    END IF;
  END LOOP;
END $$;

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
                             model, instructions, metadata, kind, created_at, updated_at)
    VALUES (_tenant, _tree, _id, _user, _branch, _position, _branch, _position,
            _model, _instructions, _metadata, _kind, _created_at, _updated_at);
  RETURN 'created';
END $$;

CREATE FUNCTION begin_turn(
  _tenant text, _conversation text, _user text, _metadata jsonb, _kind text, _turn text, _on_head boolean, _parent text, _key text,
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
