DROP TABLE IF EXISTS workout_curves;
ALTER TABLE workouts
    DROP COLUMN IF EXISTS recorded_time,
    DROP COLUMN IF EXISTS total_elevation_gain,
    DROP COLUMN IF EXISTS training_stress_score,
    DROP COLUMN IF EXISTS excluded_ranges,
    DROP COLUMN IF EXISTS excluded,
    DROP COLUMN IF EXISTS stale;
