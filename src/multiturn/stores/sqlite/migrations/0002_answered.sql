-- Who answered and why it ended (rows.Answered as JSON), where one message did: kept once, and not in each body.
ALTER TABLE turns ADD COLUMN answered INTEGER; -- texts.key
