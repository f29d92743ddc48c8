"""Is the API in this container ready? ``python -m api.health.probe`` exits 0 if it is."""

import os
import sys
import urllib.error
import urllib.request


def main() -> None:
    """Ask /health/ready; print what it says is wrong."""
    url = f"http://127.0.0.1:{os.environ.get('PORT') or 8000}/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=8):
            pass
    except urllib.error.HTTPError as error:
        sys.exit(error.read().decode())
    except OSError as error:
        sys.exit(f"no answer from {url}: {error}")


if __name__ == "__main__":
    main()
