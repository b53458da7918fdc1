-- Fewer bytes for a turn, and less to do when it ends.
--
-- What was said in a turn is a document of the index `said`. Documents are numbered one by one as turns end, for the
-- index has an entry's distance to the one before it, and keys of turns are far apart. They are indexed later, many at
-- once: those up to the one number in `indexed` are there, and a search looks through the others itself.

ALTER TABLE turns ADD COLUMN document INTEGER; -- NULL while the turn runs or waits, and where it is sealed
UPDATE turns SET document = key WHERE status NOT IN (0, 4);
CREATE INDEX turns_by_document ON turns (document) WHERE document IS NOT NULL;
CREATE TABLE indexed (document INTEGER NOT NULL);
INSERT INTO indexed SELECT ifnull(max(document), 0) FROM turns;
INSERT INTO said (said, rank) VALUES ('automerge', 4); -- the default; segments are bigger now

-- Most trees have one conversation and one branch, under the tree's own number: these are found without an index.
DROP INDEX conversations_by_tree;
CREATE INDEX conversations_by_tree ON conversations (tree) WHERE tree <> key;
DROP INDEX branches_by_tree;
CREATE INDEX branches_by_tree ON branches (tree, parent) WHERE tree <> key;

-- Without the id: the few of the same moment are put in order when they are read.
DROP INDEX conversations_by_update;
CREATE INDEX conversations_by_update ON conversations (tenant, updated_at);
DROP INDEX conversations_by_user;
CREATE INDEX conversations_by_user ON conversations (tenant, user, updated_at) WHERE user IS NOT NULL;
