-- Two roles in place of one that may do everything. Run by the database's owner, in this order:
--   1. this file
--   2. ledger.sql as quarry_migration
--   3. this file again; also after quarry_migration made a schema
-- and set each role's password (ALTER ROLE … PASSWORD), which nothing here knows.
--
-- quarry_migration owns every schema and table. A loader that runs as it, with
-- QUARRY_MAY_MIGRATE=true, makes and widens tables and the functions for analysts.
-- quarry_loader runs with QUARRY_MAY_MIGRATE=false. It brings rows into tables that are there and
-- writes the ledger, but cannot change what the ledger says, nor make, alter, empty or drop a table.
DO $quarry$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quarry_migration') THEN
        CREATE ROLE quarry_migration LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quarry_loader') THEN
        CREATE ROLE quarry_loader LOGIN;
    END IF;
    -- The owner of a database on RDS is no superuser and has to belong to a role to act for it.
    EXECUTE format('GRANT quarry_migration TO %I WITH INHERIT TRUE, SET TRUE', current_user);
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO quarry_migration',
                   current_database());
    -- Rows that are compared wait in a temporary table.
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO quarry_loader', current_database());
END $quarry$;

ALTER DEFAULT PRIVILEGES FOR ROLE quarry_migration GRANT USAGE ON SCHEMAS TO quarry_loader;
ALTER DEFAULT PRIVILEGES FOR ROLE quarry_migration
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO quarry_loader;

DO $quarry$
DECLARE
    own name;
BEGIN
    FOR own IN SELECT nspname FROM pg_namespace
               WHERE nspowner = 'quarry_migration'::regrole LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO quarry_loader', own);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I'
                       ' TO quarry_loader', own);
    END LOOP;
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'quarry'
               AND nspowner = 'quarry_migration'::regrole) THEN
        REVOKE UPDATE, DELETE ON ALL TABLES IN SCHEMA quarry FROM quarry_loader;
        REVOKE INSERT ON quarry.curated, quarry.restated_value FROM quarry_loader;
    END IF;
END $quarry$;
