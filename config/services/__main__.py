"""Start, stop or describe the embedded services: `python -m config.services up|down|env`."""

import os
import sys

from config.services.embedded import start, stop
from config.services.paths import home
from config.services.system import ServiceError


def main(verb: str) -> None:
    """Do `verb`; `env` prints lines for `eval` in a shell."""
    place = home()
    if verb == "up":
        start(place)
    elif verb == "down":
        stop(place)
    if verb in ("up", "env"):
        print(f"export PRECEPTOR_HOME={place.path}")
        print(f"export DATABASE_URL='{os.environ.get('DATABASE_URL') or place.database_url}'")
        print(f"export REDIS_URL='{os.environ.get('REDIS_URL') or place.redis_url}'")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("up", "down", "env"):
        raise SystemExit(__doc__)
    try:
        main(sys.argv[1])
    except ServiceError as error:
        raise SystemExit(str(error)) from None
