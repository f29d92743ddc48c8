"""The figures of a ride. Pure numpy: no I/O, no logging, no clock."""
