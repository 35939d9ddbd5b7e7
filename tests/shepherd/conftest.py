"""The databases that records are tested on."""

from tests.records.conftest import database as database
from tests.records.conftest import database_url as database_url
from tests.records.conftest import sqlite_url as sqlite_url
