"""Django's settings: one file. What differs between a laptop, a test and production comes from config/env.py."""

import os
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.databases import cache_of, database
from config.env import Environment
from config.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
try:
    ENV = Environment.load()
except ImproperlyConfigured as wrong:
    raise SystemExit(str(wrong)) from None  # The list is the message; a traceback would bury it.

# Set by the entry point (config/asgi.py, config/celery.py): a page may wait 5 s for the database, a job longer.
ROLE = os.environ.get("PRECEPTOR_ROLE", "command")

# Ours.

PRECEPTOR_VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
PRECEPTOR_HOME = ENV.home
PRECEPTOR_STORE_URL = ENV.store_url or ENV.folder.store_url
PRECEPTOR_MODELS_DIR = ENV.models_dir or ENV.home / "models"
PRECEPTOR_RUNS_DIR = ENV.home / "runs"
PRECEPTOR_PUBLIC_URL = ENV.public_url or f"http://{ENV.host}:{ENV.port}"
PRECEPTOR_METRICS_TOKEN = ENV.metrics_token.get_secret_value() if ENV.metrics_token else ""
PRECEPTOR_REDIS_URL = ENV.redis_url
PRECEPTOR_TRUST_PROXY = ENV.trust_proxy
PRECEPTOR_LEASE_SECONDS = ENV.lease_seconds
PRECEPTOR_HEARTBEAT_SECONDS = ENV.heartbeat_seconds
PRECEPTOR_TRAIN_PROCESSES = ENV.train_processes
HTTPS = PRECEPTOR_PUBLIC_URL.startswith("https://")

# Django.

DEBUG = ENV.debug
SECRET_KEY = ENV.secret_key.get_secret_value()
SECRET_KEY_FALLBACKS = ENV.secret_key_fallbacks
ALLOWED_HOSTS = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    urlsplit(PRECEPTOR_PUBLIC_URL).hostname or "",
    *ENV.allowed_hosts,
]
CSRF_TRUSTED_ORIGINS = [PRECEPTOR_PUBLIC_URL]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = (
    False  # A redirect would drop the body of a POST; an unknown address names the right one instead.
)
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False  # Translation happens in the browser.

INSTALLED_APPS = [
    "config",
    "training",
    "labeling",
    "inference",
    "accounts",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_vite",
    "rest_framework",
    "drf_spectacular",
]

MIDDLEWARE = [
    "config.logs.RequestLog",
    "config.security.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "OPTIONS": {"context_processors": []},
    }
]

# Data.

DATABASES = {"default": database(ENV.database_url, role=ROLE)}
CACHES = {"default": cache_of(ENV.redis_url)}

# Sessions, cookies, transport.

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 7 * 24 * 3600
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "preceptor_session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "preceptor_csrf"
CSRF_FAILURE_VIEW = "config.pages.csrf_failure"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # Probes come from inside, without TLS.
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.trust_proxy else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
AUTH_PASSWORD_VALIDATORS: list[dict[str, str]] = []  # Nobody has a password: people come in by sign-in links.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]

# The built front end, served by config/static.py. Vite has put a hash into every name, so nothing renames the files.

FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATIC_URL = "/static/"
DJANGO_VITE = {
    "default": {
        "dev_mode": False,
        "manifest_path": FRONTEND_DIST / ".vite" / "manifest.json",
        "static_url_prefix": STATIC_URL,  # Without the staticfiles app nobody else puts it in front.
    }
}
SILENCED_SYSTEM_CHECKS = [
    "django_vite.W001",  # Before the first build there is no manifest; config/pages.py says so in words.
    "security.W002",  # config/security.py sets X-Frame-Options.
    "security.W003",  # DRF checks CSRF itself where a session authenticates.
]

# REST.

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.drf.PreceptorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["common.api.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["common.api.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "common.api.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "common.api.handle_exception",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.MultiPartRenderer",
    ],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Preceptor",
    "DESCRIPTION": "Where people teach a language model, and where it learns from them.",
    "VERSION": "1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.schema.declare_errors",
    ],
    "OAS_VERSION": "3.1.0",
    # Fields called "kind" and "state" are many; each gets the name of its own list.
    "ENUM_NAME_OVERRIDES": {
        "VersionKindEnum": "inference.models.VersionKind",
        "JobStateEnum": "inference.states.JobState",
        "StageEnum": "inference.states.Stage",
        "TaskKindEnum": "labeling.models.TaskKind",
        "PiiKindEnum": "labeling.pii.KINDS",
        "AssignmentStateEnum": "labeling.states.AssignmentState",
        "SnapshotKindEnum": "training.models.SnapshotKind",
        "RunKindEnum": "training.models.RunKind",
        "RunStateEnum": "training.states.RunState",
        "AttemptStateEnum": "training.states.AttemptState",
        "RoundStateEnum": "training.states.RoundState",
    },
}

LOGGING = logging_config(level=ENV.log_level, style=ENV.log_format)
LOGGING_CONFIG = "config.logs.configure"
