DROP INDEX IF EXISTS
    workouts_by_avg_power, workouts_by_normalized_power, workouts_by_total_energy,
    workouts_by_duration, workouts_by_sport, workouts_by_status;
