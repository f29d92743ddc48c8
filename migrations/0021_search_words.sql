-- depends: 0020_remedies
-- transactional: false
-- Search by the words that stand in title and description, whatever parser and locale PostgreSQL has:
-- it took `home/work`, an address or a title in Japanese for one word each.
--
-- The processes before this go on searching in `search`, without its index: among the rides of a user
-- that takes milliseconds. A later migration may drop it.
-- No column is generated, which would rewrite the table under a lock: a trigger fills the new one, and
-- the rows there are get theirs in portions, while everything else goes on.

-- The words of a text, in order: without accents and case, and parted by all that is no letter or
-- digit. Scripts that are written without spaces have a word for each character, so that any part of
-- a title is found as a phrase; and so have symbols.
CREATE OR REPLACE FUNCTION search_words(given text) RETURNS text[]
IMMUTABLE STRICT PARALLEL SAFE
RETURN array_remove(
    string_to_array(
        regexp_replace(
            regexp_replace(
                translate(
                    replace(replace(replace(
                        lower(normalize(
                            regexp_replace(
                                normalize(given, NFKD),
                                -- accents and points, and what is not seen
                                '[\u0300-\u036f\u0591-\u05bd\u0640\u064b-\u065f\u0670\u1ab0-\u1aff'
                                    '\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f'
                                    '\u00ad\u200c\u200d\u2060-\u2064\ufeff]',
                                '', 'g'
                            ),
                            NFKC
                        )),
                        'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'
                    ),
                    'øłđħŧıς', 'oldhtiσ'
                ),
                -- what parts words
                '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u055a-\u055f'
                    '\u0589\u058a\u05be\u05c0\u05c3\u05f3\u05f4\u060c\u061b\u061f\u066a-\u066d\u06d4'
                    '\u0964\u0965\u0f0b-\u0f14\u104a-\u104f\u1680\u17d4-\u17da\u2000-\u206f'
                    '\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d\u30a0\u30fb]+',
                ' ', 'g'
            ),
            -- what is a word by itself: Thai and Lao, Burmese, Khmer, symbols, kana, Han, Hangul
            '([\u0e01-\u0eff\u1000-\u1049\u1050-\u109f\u1780-\u17d3\u20a0-\u2bff\u2e80-\u2fdf'
                '\u3005-\u3007\u3021-\u31ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff'
                '\U0001f000-\U0003ffff])',
            ' \1 ', 'g'
        ),
        ' '
    ),
    ''
);

-- What is searched of a workout: its words, with their places. Of a longer word the beginning counts.
CREATE OR REPLACE FUNCTION search_vector(title text, description text) RETURNS tsvector
IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(string_agg(format('''%s'':%s', left(word, 100), place), ' '), '')
    FROM unnest(search_words(coalesce(title, '') || ' ' || coalesce(description, '')))
        WITH ORDINALITY AS each (word, place)
)::tsvector;

ALTER TABLE workouts ADD COLUMN IF NOT EXISTS words tsvector;

CREATE OR REPLACE FUNCTION fill_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := search_vector(NEW.title, NEW.description);
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER workouts_words BEFORE INSERT OR UPDATE OF title, description ON workouts
    FOR EACH ROW EXECUTE FUNCTION fill_words();

-- Also where a session leaves out triggers, as those of foreign keys.
ALTER TABLE workouts ENABLE ALWAYS TRIGGER workouts_words;

-- In the order of the ids, as all lock workouts who lock several.
DO $$
DECLARE
    portion uuid[];
    last uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    LOOP
        portion := ARRAY(
            SELECT id FROM workouts WHERE id >= last AND words IS NULL ORDER BY id LIMIT 500
            FOR NO KEY UPDATE
        );
        EXIT WHEN cardinality(portion) = 0;
        UPDATE workouts SET words = search_vector(title, description) WHERE id = ANY(portion);
        last := portion[cardinality(portion)];
        COMMIT;
    END LOOP;
END $$;

-- One whose making was cut short is invalid.
DROP INDEX CONCURRENTLY IF EXISTS workouts_words;

CREATE INDEX CONCURRENTLY IF NOT EXISTS workouts_words ON workouts USING gin (words);

DROP INDEX CONCURRENTLY IF EXISTS workouts_search;

-- What is asked for: words, `or` between them, "words in a row", and either of these -negated. What
-- is written together, as `home/work` or a title without spaces, is in a row. Made last: once it is
-- there, every workout has its words.
CREATE OR REPLACE FUNCTION search_query(given text) RETURNS tsquery
IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    WITH asked AS (
        SELECT place, found[1] IS NOT NULL AS negated, found[2] IS NULL AND lower(found[3]) = 'or'
                AND found[1] IS NULL AS says_or,
            (
                SELECT string_agg(format('''%s''', left(word, 100)), ' <-> ' ORDER BY at)
                FROM unnest(search_words(coalesce(found[2], found[3])))
                    WITH ORDINALITY AS each (word, at)
            ) AS phrase
        FROM regexp_matches(
            -- quotation marks and spaces of other keyboards
            translate(given, U&'\201C\201D\201E\00A0\3000', '"""  '),
            '(-)?(?:"([^"]*)"?|([^\s"()-][^\s"]*))', 'g'
        ) WITH ORDINALITY AS match (found, place)
    ),
    told AS (
        SELECT place, negated, phrase, says_or
            AND place > min(place) OVER () AND place < max(place) OVER () AS is_or
        FROM asked WHERE phrase IS NOT NULL
    ),
    joined AS (
        SELECT place, negated, phrase, is_or, lag(is_or) OVER (ORDER BY place) AS follows_or
        FROM told
    )
    SELECT coalesce(
        substr(
            string_agg(
                CASE WHEN follows_or THEN ' | ' ELSE ' & ' END
                    || CASE WHEN negated THEN '!' ELSE '' END || '(' || phrase || ')',
                '' ORDER BY place
            ) FILTER (WHERE NOT is_or),
            4
        ),
        ''
    )
    FROM joined
)::tsquery;
