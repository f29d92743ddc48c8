"""One way of logging for every process."""

import logging


def start_logging(level: str) -> None:
    """Lines on standard error: time, level, logger, event."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
