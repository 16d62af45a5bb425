"""The web process: built files are served before Django sees the request, all else goes through it."""

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("PRECEPTOR_ROLE", "web")

from django.core.asgi import get_asgi_application

from config.static import App, StaticFiles

application = StaticFiles(cast(App, get_asgi_application()))
