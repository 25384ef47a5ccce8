-- The loader's own tables. Applied at start; every statement may run again.
CREATE SCHEMA IF NOT EXISTS quarry;

CREATE TABLE IF NOT EXISTS quarry.load (
    load_id uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    run_id text NOT NULL,
    dataset text NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    period text,
    period_end date,
    mode text NOT NULL,
    as_of timestamptz NOT NULL,
    outcome text NOT NULL,
    rows bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    removed bigint NOT NULL,
    object text NOT NULL,
    object_bytes bigint NOT NULL,
    object_sha256 text NOT NULL,
    content_digest text NOT NULL,
    schema_fingerprint text NOT NULL,
    manifest_key text NOT NULL,
    worker text NOT NULL,
    seconds double precision NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS load_by_table ON quarry.load (table_schema, table_name, period);
COMMENT ON TABLE quarry.load IS
    'One row per load, written in the transaction of its rows: what is here is in the table.';

CREATE TABLE IF NOT EXISTS quarry.attempt (
    attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    load_id uuid NOT NULL,
    message_id uuid NOT NULL,
    run_id text NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    period text,
    worker text NOT NULL,
    error_type text NOT NULL,
    reason text NOT NULL,
    seconds double precision NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS attempt_by_load ON quarry.attempt (load_id);
COMMENT ON TABLE quarry.attempt IS
    'One row per load that failed, written after its transaction was rolled back.';
