"""Workers: do what events ask for, one at a time; above all, fold waiting samples."""
