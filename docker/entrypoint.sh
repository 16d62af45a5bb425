#!/bin/sh
# One process a container: migrate | web | loop | control | sample | train | any other command.
set -eu

worker() {
    export PRECEPTOR_ROLE=worker
    exec python -m celery -A config.celery worker -Q "$1" "--pool=$2" -c 1 -n "$1@%h" \
        --loglevel INFO --without-gossip --without-mingle --without-heartbeat
}

case "${1:-web}" in
    migrate) exec python manage.py migrate --no-input ;;
    web) exec python -m uvicorn config.asgi:application --host 0.0.0.0 --port "${PORT:-8000}" \
        --no-access-log --lifespan off --no-server-header --timeout-graceful-shutdown 20 ;;
    loop) PRECEPTOR_ROLE=worker exec python manage.py run_control_loop ;;
    control | train) worker "$1" prefork ;;
    sample) worker sample solo ;;
    *) exec "$@" ;;
esac
