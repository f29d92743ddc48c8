"""What rides add up to: records, totals, and the athlete's thresholds."""
