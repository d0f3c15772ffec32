"""A Django application of one file, as WSGI. Its settings are said before Django is set up, and after it was imported."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

log = logging.getLogger("stock")


def stock(request: HttpRequest, thing: str) -> JsonResponse:
    rows = sqlite3.connect(":memory:").cursor().execute("SELECT 7").fetchall()
    log.warning("counted %s", thing)
    return JsonResponse({"left": rows[0][0], "counted_by": os.getpid()})


urlpatterns = [path("stock/<thing>", stock)]
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="for tests", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
application = get_wsgi_application()
sys.stderr.write("stock is ready\n")
