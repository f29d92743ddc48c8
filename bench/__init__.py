"""What the project costs, beside what the machine can do; measured, and never asserted."""
