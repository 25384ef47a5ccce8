-- The curated layer: what was dropped as text, typed. Applied by the loader to the schema it loads,
-- again whenever this text changes. Functions that read the raw tables when they are called, and
-- views of those functions: no view depends on a column, and what is not loaded yet has no rows.
--
-- Of each file name the newest version counts, of a key in several files the one dropped last. Rows
-- with `problems` stay in the raw layer. Only CREATE OR REPLACE: other columns need a new name.

CREATE OR REPLACE FUNCTION hires.typed_employees()
RETURNS TABLE (id bigint, name text, hired_at timestamptz, department_id bigint, job_id bigint,
               filename text, file_version bigint, row_number bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $quarry$
BEGIN
    IF to_regclass('hires.hired_employees') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE $rows$
        WITH newest AS (SELECT r.filename, max(r.file_version) AS file_version
                        FROM hires.hired_employees AS r GROUP BY r.filename)
        SELECT DISTINCT ON (r.id::bigint) r.id::bigint, r.name,
               -- A moment without a zone is meant in UTC, whatever the session's zone is.
               (r.datetime || CASE WHEN r.datetime ~ '(Z|[+-][0-9]{2}:?[0-9]{2})\s*$' THEN ''
                                   ELSE 'Z' END)::timestamptz,
               r.department_id::bigint, r.job_id::bigint,
               r.filename, r.file_version, r.row_number
        FROM hires.hired_employees AS r JOIN newest USING (filename, file_version)
        WHERE r.problems IS NULL
        ORDER BY r.id::bigint, r.dropped_at DESC, r.filename DESC, r.row_number DESC $rows$;
END $quarry$;
COMMENT ON FUNCTION hires.typed_employees() IS 'The rows of the view hires.curated_employees.';

CREATE OR REPLACE FUNCTION hires.typed_names(raw_table text, name_column text)
RETURNS TABLE (id bigint, name text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $quarry$
BEGIN
    IF to_regclass(format('hires.%I', raw_table)) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($rows$
        WITH newest AS (SELECT r.filename, max(r.file_version) AS file_version
                        FROM hires.%1$I AS r GROUP BY r.filename)
        SELECT DISTINCT ON (r.id::bigint) r.id::bigint, r.%2$I
        FROM hires.%1$I AS r JOIN newest USING (filename, file_version)
        WHERE r.problems IS NULL
        ORDER BY r.id::bigint, r.dropped_at DESC, r.filename DESC, r.row_number DESC $rows$,
        raw_table, name_column);
END $quarry$;
COMMENT ON FUNCTION hires.typed_names(text, text) IS
    'Ids and names of a raw table that has just these two.';

CREATE OR REPLACE VIEW hires.curated_employees AS SELECT * FROM hires.typed_employees();
COMMENT ON VIEW hires.curated_employees IS
    'Everyone hired, once: the rows of the newest files that have no problems, typed.';

CREATE OR REPLACE VIEW hires.curated_departments AS
SELECT id, name AS department FROM hires.typed_names('departments', 'department');
COMMENT ON VIEW hires.curated_departments IS 'Departments by id.';

CREATE OR REPLACE VIEW hires.curated_jobs AS
SELECT id, name AS job FROM hires.typed_names('jobs', 'job');
COMMENT ON VIEW hires.curated_jobs IS 'Jobs by id.';

CREATE OR REPLACE FUNCTION hires.per_quarter(of_year integer)
RETURNS TABLE (department text, job text, q1 bigint, q2 bigint, q3 bigint, q4 bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $quarry$
    SELECT d.department, j.job,
           count(*) FILTER (WHERE extract(quarter FROM e.hired_at AT TIME ZONE 'UTC') = 1),
           count(*) FILTER (WHERE extract(quarter FROM e.hired_at AT TIME ZONE 'UTC') = 2),
           count(*) FILTER (WHERE extract(quarter FROM e.hired_at AT TIME ZONE 'UTC') = 3),
           count(*) FILTER (WHERE extract(quarter FROM e.hired_at AT TIME ZONE 'UTC') = 4)
    FROM hires.curated_employees AS e
    LEFT JOIN hires.curated_departments AS d ON d.id = e.department_id
    LEFT JOIN hires.curated_jobs AS j ON j.id = e.job_id
    WHERE extract(year FROM e.hired_at AT TIME ZONE 'UTC') = of_year
    GROUP BY d.department, j.job
    ORDER BY d.department, j.job
$quarry$;
COMMENT ON FUNCTION hires.per_quarter(integer) IS
    'Hires of a year by department and job, a column per quarter (UTC). An id that no file names '
    'has null for its name.';

CREATE OR REPLACE FUNCTION hires.above_mean(of_year integer)
RETURNS TABLE (id bigint, department text, hired bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $quarry$
    WITH counted AS (
        SELECT d.id, d.department, count(e.id) AS hired
        FROM hires.curated_departments AS d
        LEFT JOIN hires.curated_employees AS e
            ON e.department_id = d.id
            AND extract(year FROM e.hired_at AT TIME ZONE 'UTC') = of_year
        GROUP BY d.id, d.department)
    SELECT c.id, c.department, c.hired FROM counted AS c
    WHERE c.hired > (SELECT avg(counted.hired) FROM counted)
    ORDER BY c.hired DESC, c.id
$quarry$;
COMMENT ON FUNCTION hires.above_mean(integer) IS
    'Departments that hired more people in a year than the mean of all departments, those that '
    'hired nobody included; most first.';

CREATE OR REPLACE VIEW hires.hires_per_quarter_2021 AS SELECT * FROM hires.per_quarter(2021);
COMMENT ON VIEW hires.hires_per_quarter_2021 IS
    'Hires of 2021 by department and job, per quarter; other years: hires.per_quarter(year).';

CREATE OR REPLACE VIEW hires.departments_above_mean_2021 AS SELECT * FROM hires.above_mean(2021);
COMMENT ON VIEW hires.departments_above_mean_2021 IS
    'Departments that hired more than the mean in 2021; other years: hires.above_mean(year).';
