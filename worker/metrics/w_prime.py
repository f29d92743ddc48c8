"""W′ balance: how much of the work above critical power is left."""

import numpy as np

from worker.metrics.series import FloatArray, Series, find_gaps, linear_recurrence


def w_prime_balance(power: Series, critical_power: float, w_prime: float) -> FloatArray:
    """W′ left after each recorded second, in joules; (n,).

    Differential form (Froncioni, Clarke, Skiba): above critical power W′ is spent by the excess;
    below, it recovers by (CP − P)·(W′₀ − W′)/W′₀ a second. Seconds that were not recorded are rest
    at 0 W: what is spent shrinks over each by CP/W′₀, in one step however long the pause. W′ may
    become negative, where CP or W′ were set too low.
    """
    excess = power.values - critical_power
    # The spent part d follows d ← a·d + b, with b the excess above CP and a the recovery below it.
    a = np.where(excess > 0, 1.0, np.maximum(1.0 + excess / w_prime, 0.0))
    gaps, missing = find_gaps(power)
    a[gaps] *= max(1.0 - critical_power / w_prime, 0.0) ** missing
    return w_prime - linear_recurrence(a, np.maximum(excess, 0.0))
