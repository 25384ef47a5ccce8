-- What analysts use: applied by the loader to the schema it loads, again whenever this text changes.
-- Functions that look columns up when they are called, and views of those functions: no view
-- depends on a column, so a load can always add and widen columns, and what is not loaded yet has
-- no rows. Only CREATE OR REPLACE: a result with other columns needs a new name.

CREATE OR REPLACE FUNCTION call_reports.code_columns()
RETURNS TABLE (code text, table_name text, column_name text, kind text)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $quarry$
SELECT upper(a.attname), c.relname::text, a.attname::text,
       CASE WHEN a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
                                'numeric'::regtype) THEN 'exact'
            WHEN a.atttypid IN ('real'::regtype, 'double precision'::regtype) THEN 'float'
            WHEN a.atttypid = 'boolean'::regtype THEN 'boolean'
            ELSE 'text' END
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'call_reports'::regnamespace AND c.relkind = 'r'
  AND c.relname NOT IN ('por', 'dictionary') AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attname ~ '^[a-z]{2}[a-z0-9]{6}$' AND a.attname <> 'filename'
  AND 2 = (SELECT count(*) FROM pg_attribute AS k WHERE k.attrelid = c.oid
           AND k.attname IN ('idrssd', 'period_end') AND NOT k.attisdropped)
$quarry$;
COMMENT ON FUNCTION call_reports.code_columns() IS
    'Every column that holds a code: the code in upper case, its schedule, and how it is stored.';

CREATE OR REPLACE FUNCTION call_reports.number_sql(source text, column_name text, kind text)
RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $quarry$
-- A float goes through its text, the shortest that reads back equal: a cast keeps 15 digits only.
SELECT CASE kind WHEN 'exact' THEN format('%I.%I::numeric', source, column_name)
                 WHEN 'float' THEN format('%I.%I::text::numeric', source, column_name)
                 WHEN 'boolean' THEN format('%I.%I::integer::numeric', source, column_name)
                 ELSE 'NULL::numeric' END
$quarry$;
COMMENT ON FUNCTION call_reports.number_sql(text, text, text) IS
    'SQL of a column as an exact number; null for what is stored as text or as a date.';

CREATE OR REPLACE FUNCTION call_reports.series_text(mdrm text)
RETURNS TABLE (idrssd bigint, period_end date, value text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $quarry$
DECLARE
    places text;
BEGIN
    SELECT string_agg(
        format('SELECT t.idrssd::bigint, t.period_end, t.%I::text, %L FROM call_reports.%I AS t'
               ' WHERE t.%I IS NOT NULL', c.column_name, c.table_name, c.table_name, c.column_name),
        ' UNION ALL ')
    INTO places FROM call_reports.code_columns() AS c WHERE c.code = upper(mdrm);
    IF places IS NOT NULL THEN
        RETURN QUERY EXECUTE
            'SELECT DISTINCT ON (f.idrssd, f.period_end) f.idrssd, f.period_end, f.value'
            ' FROM (' || places || ') AS f (idrssd, period_end, value, place)'
            ' ORDER BY f.idrssd, f.period_end, f.place';
    END IF;
END $quarry$;
COMMENT ON FUNCTION call_reports.series_text(text) IS
    'One code over all schedules and quarters, as text, one row per bank and quarter that reported '
    'it; of a code in several schedules the first schedule by name that has a value.';

CREATE OR REPLACE FUNCTION call_reports.series(mdrm text)
RETURNS TABLE (idrssd bigint, period_end date, value numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $quarry$
DECLARE
    places text;
    words record;
    has_words boolean;
BEGIN
    FOR words IN SELECT c.* FROM call_reports.code_columns() AS c
                 WHERE c.code = upper(mdrm) AND c.kind = 'text' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM call_reports.%I AS t WHERE t.%I IS NOT NULL)',
                       words.table_name, words.column_name) INTO has_words;
        IF has_words THEN
            RAISE EXCEPTION '% is not reported as a number', upper(mdrm)
            USING HINT = format('Use call_reports.series_text(%L).', upper(mdrm)),
                  ERRCODE = 'wrong_object_type';
        END IF;
    END LOOP;
    SELECT string_agg(
        format('SELECT t.idrssd::bigint, t.period_end, %s, %L FROM call_reports.%I AS t'
               ' WHERE t.%I IS NOT NULL', call_reports.number_sql('t', c.column_name, c.kind),
               c.table_name, c.table_name, c.column_name),
        ' UNION ALL ')
    INTO places FROM call_reports.code_columns() AS c
    WHERE c.code = upper(mdrm) AND c.kind <> 'text';
    IF places IS NOT NULL THEN
        RETURN QUERY EXECUTE
            'SELECT DISTINCT ON (f.idrssd, f.period_end) f.idrssd, f.period_end, f.value'
            ' FROM (' || places || ') AS f (idrssd, period_end, value, place)'
            ' ORDER BY f.idrssd, f.period_end, f.place';
    END IF;
END $quarry$;
COMMENT ON FUNCTION call_reports.series(text) IS
    'One code over all schedules and quarters, one row per bank and quarter that reported it; of a '
    'code in several schedules the first schedule by name that has a value. Exact numbers, true and '
    'false as 1 and 0. A code that no schedule has gives no rows; one reported as text or date is '
    'refused: use series_text.';

CREATE OR REPLACE FUNCTION call_reports.long(
    first_day date, last_day date, schedule text DEFAULT NULL)
RETURNS TABLE (idrssd bigint, year integer, quarter integer, code text, value numeric, text text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $quarry$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        WITH columns AS (SELECT * FROM call_reports.code_columns()),
        earlier AS (
            -- Schedules before this one that have the code too: a value found there counts.
            SELECT c.table_name, c.column_name,
                   string_agg(format('%I.%I IS NULL', e.table_name, e.column_name), ' AND ') AS unseen
            FROM columns AS c JOIN columns AS e
              ON e.code = c.code AND e.table_name < c.table_name
            GROUP BY c.table_name, c.column_name
        ),
        joins AS (
            SELECT p.table_name, string_agg(
                format(' LEFT JOIN call_reports.%I USING (idrssd, period_end)', p.other), '') AS sql
            FROM (SELECT DISTINCT c.table_name, e.table_name AS other
                  FROM columns AS c JOIN columns AS e
                    ON e.code = c.code AND e.table_name < c.table_name) AS p
            GROUP BY p.table_name
        ),
        cells AS (
            SELECT c.table_name, c.code,
                   format(CASE WHEN e.unseen IS NULL THEN '%2$s' ELSE 'CASE WHEN %1$s THEN %2$s END' END,
                          e.unseen, call_reports.number_sql(c.table_name, c.column_name, c.kind))
                       AS number,
                   CASE WHEN c.kind <> 'text' THEN 'NULL' ELSE
                       format(CASE WHEN e.unseen IS NULL THEN '%2$I.%3$I::text'
                                   ELSE 'CASE WHEN %1$s THEN %2$I.%3$I::text END' END,
                              e.unseen, c.table_name, c.column_name) END AS words
            FROM columns AS c LEFT JOIN earlier AS e
              ON e.table_name = c.table_name AND e.column_name = c.column_name
        )
        SELECT format(
            'SELECT c.idrssd, c.year, c.quarter, c.code, c.value, c.words FROM ('
            ' SELECT idrssd::bigint AS idrssd, extract(year FROM period_end)::integer AS year,'
            ' extract(quarter FROM period_end)::integer AS quarter, unnest(%L::text[]) AS code,'
            ' unnest(ARRAY[%s]::numeric[]) AS value, unnest(ARRAY[%s]::text[]) AS words'
            ' FROM call_reports.%I%s WHERE period_end BETWEEN $1 AND $2) AS c'
            ' WHERE c.value IS NOT NULL OR c.words IS NOT NULL',
            array_agg(cells.code ORDER BY cells.code),
            string_agg(cells.number, ', ' ORDER BY cells.code),
            string_agg(cells.words, ', ' ORDER BY cells.code),
            cells.table_name, min(joins.sql))
        FROM cells LEFT JOIN joins ON joins.table_name = cells.table_name
        WHERE schedule IS NULL OR cells.table_name = schedule
        GROUP BY cells.table_name ORDER BY cells.table_name
    LOOP
        RETURN QUERY EXECUTE statement USING first_day, last_day;
    END LOOP;
END $quarry$;
COMMENT ON FUNCTION call_reports.long(date, date, text) IS
    'Every value of the quarters that end between the two days, one row per bank, quarter and code; '
    'nulls are left out, a code in several schedules is there once. Numbers are in value (true and '
    'false as 1 and 0), all else in text. With a schedule, its rows alone.';

CREATE OR REPLACE VIEW call_reports.long AS
SELECT idrssd, year, quarter, code, value, text
FROM call_reports.long('-infinity'::date, 'infinity'::date);
COMMENT ON VIEW call_reports.long IS
    'Every value of every quarter. A condition on this view is applied after all rows are made: for '
    'single quarters use call_reports.long(first_day, last_day), for single codes call_reports.series.';

CREATE OR REPLACE FUNCTION call_reports.consolidated(item text)
RETURNS TABLE (idrssd bigint, period_end date, value numeric)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $quarry$
SELECT idrssd, period_end, coalesce(whole.value, domestic.value)
FROM call_reports.series('RCFD' || item) AS whole
FULL JOIN call_reports.series('RCON' || item) AS domestic USING (idrssd, period_end)
$quarry$;
COMMENT ON FUNCTION call_reports.consolidated(text) IS
    'A balance-sheet item such as 2170: RCFD (with foreign offices) where a bank reports it, else '
    'RCON (domestic offices, which is all that a bank without foreign ones has).';

CREATE OR REPLACE FUNCTION call_reports.flows(mdrm text)
RETURNS TABLE (idrssd bigint, period_end date, year_to_date numeric, in_quarter numeric)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $quarry$
WITH known AS MATERIALIZED (SELECT * FROM call_reports.series(mdrm)),
restarted AS MATERIALIZED (
    SELECT r.idrssd, r.period_end FROM call_reports.series_text('RIAD9106') AS r
    WHERE CASE WHEN pg_input_is_valid(r.value, 'date')
               THEN r.value::date BETWEEN date_trunc('quarter', r.period_end) AND r.period_end END
)
SELECT k.idrssd, k.period_end, k.value,
       CASE WHEN EXISTS (SELECT FROM restarted AS r
                         WHERE r.idrssd = k.idrssd AND r.period_end = k.period_end) THEN NULL
            WHEN extract(quarter FROM k.period_end) = 1 THEN k.value
            ELSE k.value - b.value END
FROM known AS k LEFT JOIN known AS b
  ON b.idrssd = k.idrssd AND b.period_end = (date_trunc('quarter', k.period_end) - interval '1 day')::date
$quarry$;
COMMENT ON FUNCTION call_reports.flows(text) IS
    'An income code such as RIAD4340: as reported, since 1 January, and in the quarter alone. The '
    'quarter alone is null where the bank''s quarter before is not loaded or lacks the code, and '
    'where its income began anew within the quarter (RIAD9106: push-down accounting).';

CREATE OR REPLACE VIEW call_reports.total_deposits AS
SELECT idrssd, period_end, d.value + coalesce(f.value, 0) AS value
FROM call_reports.series('RCON2200') AS d
LEFT JOIN call_reports.series('RCFN2200') AS f USING (idrssd, period_end);
COMMENT ON VIEW call_reports.total_deposits IS
    'Deposits in domestic offices (RCON2200) and in foreign ones (RCFN2200); no RCFD2200 exists.';

CREATE OR REPLACE VIEW call_reports.totals AS
SELECT idrssd, period_end, assets.value AS total_assets, loans.value AS loans,
       deposits.value AS deposits, equity.value AS equity,
       income.in_quarter AS net_income, income.year_to_date AS net_income_ytd,
       interest.in_quarter AS interest_income, interest.year_to_date AS interest_income_ytd,
       expense.in_quarter AS interest_expense, expense.year_to_date AS interest_expense_ytd
FROM call_reports.consolidated('2170') AS assets
FULL JOIN call_reports.consolidated('2122') AS loans USING (idrssd, period_end)
FULL JOIN call_reports.total_deposits AS deposits USING (idrssd, period_end)
FULL JOIN call_reports.consolidated('3210') AS equity USING (idrssd, period_end)
FULL JOIN call_reports.flows('RIAD4340') AS income USING (idrssd, period_end)
FULL JOIN call_reports.flows('RIAD4107') AS interest USING (idrssd, period_end)
FULL JOIN call_reports.flows('RIAD4073') AS expense USING (idrssd, period_end);
COMMENT ON VIEW call_reports.totals IS
    'The usual totals of every bank and quarter, in thousands of dollars: total assets (2170), loans '
    'and leases (2122), deposits (2200), equity (3210), net income (RIAD4340), interest income '
    '(RIAD4107) and expense (RIAD4073). Income is that of the quarter, see call_reports.flows; '
    '_ytd is as reported.';

CREATE OR REPLACE FUNCTION call_reports.listed_codes()
RETURNS TABLE (code text, description text, type text, schedules text[], first_quarter text,
               last_quarter text, quarters text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $quarry$
BEGIN
    IF to_regclass('call_reports.dictionary') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE $dictionary$
        SELECT d.mdrm::text,
               (array_agg(d.description::text ORDER BY d.period_end DESC, d.table_name)
                   FILTER (WHERE d.description IS NOT NULL))[1],
               (array_agg(d.type::text ORDER BY d.period_end DESC, d.table_name))[1],
               array_agg(DISTINCT d.table_name::text), min(d.quarter), max(d.quarter),
               array_agg(DISTINCT d.quarter)
        FROM (SELECT *, to_char(period_end, 'YYYY"Q"Q') AS quarter FROM call_reports.dictionary
              WHERE mdrm IS NOT NULL) AS d
        GROUP BY d.mdrm $dictionary$;
END $quarry$;
COMMENT ON FUNCTION call_reports.listed_codes() IS 'The rows of the view call_reports.codes.';

CREATE OR REPLACE VIEW call_reports.codes AS SELECT * FROM call_reports.listed_codes();
COMMENT ON VIEW call_reports.codes IS
    'Every code with its newest description and type, the schedules it is in, and the quarters whose '
    'files list it.';
