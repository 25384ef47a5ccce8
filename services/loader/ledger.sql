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
    object_bucket text NOT NULL,
    object_key text NOT NULL,
    object_bytes bigint NOT NULL,
    object_sha256 text NOT NULL,
    content_digest text NOT NULL,
    schema_fingerprint text NOT NULL,
    manifest_key text NOT NULL,
    worker text NOT NULL,
    seconds double precision NOT NULL,
    loaded_at timestamptz NOT NULL
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

CREATE TABLE IF NOT EXISTS quarry.piece (
    load_id uuid NOT NULL,
    number integer NOT NULL,
    digest bytea NOT NULL,
    file_node oid NOT NULL,
    PRIMARY KEY (load_id, number)
);
COMMENT ON TABLE quarry.piece IS
    'Digests of what a merge brought, piece by piece: until a load changes or removes rows of the '
    'table, a piece with the same digest need not be sent again.';

CREATE TABLE IF NOT EXISTS quarry.restatement (
    restatement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    period text NOT NULL,
    key jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('added', 'changed', 'removed')),
    old jsonb,
    new jsonb,
    known_from uuid,
    replaced_by uuid NOT NULL,
    replaced_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS restatement_by_table
    ON quarry.restatement (table_schema, table_name, replaced_at);
COMMENT ON TABLE quarry.restatement IS
    'What a quarter published again changed: for a changed row the columns that differ (and the '
    'lineage of the old version), for a removed row all of it. Unchanged rows take no space.';

CREATE OR REPLACE VIEW quarry.restated_value AS
SELECT r.table_schema, r.table_name, r.period, r.key, r.kind,
       cell.column_name, r.old -> cell.column_name AS old, r.new -> cell.column_name AS new,
       first.loaded_at AS known_since, r.replaced_at, r.known_from, r.replaced_by
FROM quarry.restatement AS r
LEFT JOIN quarry.load AS first ON first.load_id = r.known_from
LEFT JOIN LATERAL jsonb_object_keys(r.new) AS cell (column_name) ON true;
COMMENT ON VIEW quarry.restated_value IS
    'One row per restated value: old, new, since when the old one was known and which load '
    'replaced it; added and removed rows have no column.';

CREATE TABLE IF NOT EXISTS quarry.curated (
    dataset text PRIMARY KEY,
    digest text NOT NULL,
    schema_oid oid NOT NULL,
    applied_at timestamptz NOT NULL
);
COMMENT ON TABLE quarry.curated IS
    'Which version of its SQL for analysts each dataset''s schema has.';
