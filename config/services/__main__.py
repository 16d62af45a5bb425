"""Start, stop or describe the embedded services: `python -m config.services up|down|env`."""

import sys

from config.services.embedded import given, start, stop
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
        for name, address in (("DATABASE_URL", place.database_url), ("REDIS_URL", place.redis_url)):
            if not given(name):
                print(f"export {name}='{address}'")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("up", "down", "env"):
        raise SystemExit(__doc__)
    try:
        main(sys.argv[1])
    except ServiceError as error:
        raise SystemExit(str(error)) from None
