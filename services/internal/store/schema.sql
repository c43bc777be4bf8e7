-- The schema of the stack. Applied by db-setup as the superuser, in one
-- transaction, again at each start: every statement may run twice.

CREATE TABLE IF NOT EXISTS clocks (
    source text PRIMARY KEY,
    at timestamptz NOT NULL,             -- the upstream's clock
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS events (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    commence timestamptz NOT NULL,
    home text NOT NULL,
    away text NOT NULL CHECK (away <> home),
    seen_at timestamptz NOT NULL DEFAULT now()   -- our clock: when it was last listed
);
CREATE INDEX IF NOT EXISTS events_commence ON events (commence);
CREATE INDEX IF NOT EXISTS events_teams ON events (home, away, commence);

CREATE TABLE IF NOT EXISTS quotes (
    event_id text NOT NULL REFERENCES events ON DELETE CASCADE,
    market text NOT NULL CHECK (market IN ('h2h', 'spreads', 'totals')),
    book text NOT NULL CHECK (length(book) BETWEEN 1 AND 64),
    outcome text NOT NULL CHECK (outcome IN ('home', 'away', 'over', 'under')),
    source_time timestamptz NOT NULL,    -- when the book set it, by the upstream
    price double precision NOT NULL CHECK (price > 1 AND price <= 1001),
    point double precision CHECK (point BETWEEN -500 AND 500),
    observed_at timestamptz NOT NULL,    -- the upstream's clock when we saw it first
    PRIMARY KEY (event_id, market, book, outcome, source_time)
);
CREATE INDEX IF NOT EXISTS quotes_observed ON quotes (observed_at);

CREATE TABLE IF NOT EXISTS games (
    id bigint PRIMARY KEY,
    season text NOT NULL,
    start timestamptz NOT NULL,
    home text NOT NULL,
    away text NOT NULL CHECK (away <> home),
    status text NOT NULL,                -- scheduled, live, finished, postponed, cancelled
    home_score integer CHECK (home_score BETWEEN 0 AND 400),
    away_score integer CHECK (away_score BETWEEN 0 AND 400),
    updated_at timestamptz NOT NULL,     -- the upstream's clock
    CHECK (status <> 'finished' OR (home_score IS NOT NULL AND away_score IS NOT NULL AND home_score <> away_score))
);
CREATE INDEX IF NOT EXISTS games_start ON games (start);
CREATE INDEX IF NOT EXISTS games_teams ON games (home, away, start);

-- An event and the game it prices: the same teams at the same place, and starts
-- less than twelve hours apart.
CREATE OR REPLACE VIEW event_games AS
SELECT DISTINCT ON (e.id) e.id AS event_id, g.id AS game_id
FROM events e
JOIN games g ON g.home = e.home AND g.away = e.away
    AND g.start BETWEEN e.commence - interval '12 hours' AND e.commence + interval '12 hours'
ORDER BY e.id, greatest(g.start, e.commence) - least(g.start, e.commence), g.id;

CREATE TABLE IF NOT EXISTS lines (
    event_id text NOT NULL REFERENCES events ON DELETE CASCADE,
    book text NOT NULL,                  -- or 'consensus'
    outcome text NOT NULL CHECK (outcome IN ('home', 'away')),
    opening double precision NOT NULL,   -- probability, margin removed
    opening_at timestamptz NOT NULL,
    current double precision NOT NULL,
    current_at timestamptz NOT NULL,
    closing double precision,            -- null until the event has begun
    closing_at timestamptz,
    PRIMARY KEY (event_id, book, outcome)
);

CREATE TABLE IF NOT EXISTS movements (
    event_id text NOT NULL REFERENCES events ON DELETE CASCADE,
    book text NOT NULL,                  -- or 'consensus'
    outcome text NOT NULL CHECK (outcome IN ('home', 'away')),
    kind text NOT NULL CHECK (kind IN ('move', 'steam', 'reversal')),
    from_probability double precision NOT NULL,
    to_probability double precision NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    books integer NOT NULL DEFAULT 1,    -- how many moved together
    PRIMARY KEY (event_id, book, outcome, kind, from_at)
);
CREATE INDEX IF NOT EXISTS movements_to_at ON movements (to_at);

CREATE TABLE IF NOT EXISTS predictions (
    event_id text NOT NULL REFERENCES events ON DELETE CASCADE,
    made_at timestamptz NOT NULL,        -- the upstream's clock
    home double precision NOT NULL CHECK (home > 0 AND home < 1),
    market double precision CHECK (market > 0 AND market < 1),
    elo double precision CHECK (elo > 0 AND elo < 1),
    weight double precision NOT NULL CHECK (weight BETWEEN 0 AND 1), -- of the market in the pool
    books integer NOT NULL DEFAULT 0,
    games integer NOT NULL DEFAULT 0,    -- results that the Elo ratings learnt from
    PRIMARY KEY (event_id, made_at)
);

CREATE TABLE IF NOT EXISTS evaluations (
    made_at timestamptz NOT NULL,        -- the upstream's clock
    input text NOT NULL CHECK (input IN ('market', 'elo', 'pooled', 'base')),
    games integer NOT NULL,
    log_loss double precision NOT NULL,
    brier double precision NOT NULL,
    PRIMARY KEY (made_at, input)
);
