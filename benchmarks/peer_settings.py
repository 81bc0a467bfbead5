"""The Django settings of the peers: those of `django-admin startproject`, and of production what each one's documentation says.

`DEBUG` off; SQLite in WAL mode by `init_command`, transactions that begin IMMEDIATE so that they wait for their turn, and
`synchronous` as SQLite has it (FULL, which is what authctl uses). django-rest-knox as it comes (SHA-512, no refresh at use).
django-oauth-toolkit with the REFRESH_TOKEN_EXPIRE_SECONDS that its `cleartokens` asks for.
"""

import os

PEER = os.environ["AUTHCTL_PEER"]
SECRET_KEY = "no secret: nothing here leaves the benchmark, and every process of a run has to have the same"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *{"django": [], "knox": ["rest_framework", "knox"], "oauth": ["oauth2_provider"]}[PEER],
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["AUTHCTL_PEER_DATABASE"],
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
OAUTH2_PROVIDER = {"REFRESH_TOKEN_EXPIRE_SECONDS": 14 * 24 * 3600}
