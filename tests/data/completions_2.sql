-- the tables of format 2, as runs before format 3 have them
CREATE TABLE IF NOT EXISTS completions (
    key TEXT NOT NULL,
    sample INTEGER NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    logprobs TEXT NOT NULL,
    stage TEXT NOT NULL,
    requests INTEGER NOT NULL, -- 1 for the first completion of each answer of the server, 0 for its others
    nano_usd INTEGER NOT NULL, -- whole numbers, so that sums do not depend on order
    reasoning TEXT NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL, -- 1 if the server counted no tokens
    detail TEXT NOT NULL,
    PRIMARY KEY (key, sample)
);
CREATE TABLE IF NOT EXISTS spent (
    stage TEXT PRIMARY KEY,
    requests INTEGER NOT NULL,
    completions INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    nano_usd INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, sentence TEXT NOT NULL UNIQUE);
CREATE TRIGGER IF NOT EXISTS spend AFTER INSERT ON completions BEGIN
    INSERT INTO spent VALUES (
        NEW.stage, NEW.requests, 1, NEW.prompt_tokens, NEW.completion_tokens, NEW.nano_usd, NEW.reasoning_tokens,
        NEW.estimated
    )
    ON CONFLICT (stage) DO UPDATE SET
        requests = requests + excluded.requests,
        completions = completions + 1,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        nano_usd = nano_usd + excluded.nano_usd,
        reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
        estimated = estimated + excluded.estimated;
END;
PRAGMA user_version = 2;
