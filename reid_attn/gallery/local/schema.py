"""The tables of the database.

SQLite notices neither a flipped bit nor a lost row. So every record carries a SHA-256 over all its
columns, a row of `people` also the SHA-256 of its vector and thumbnail, and `meta` the number of
rows. Large columns have tables of their own: a look through the people reads none of them.
"""

from .connection import Connection

META_TABLE = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum BLOB NOT NULL)"
    " STRICT, WITHOUT ROWID"
)
TABLES = (
    META_TABLE,
    'CREATE TABLE people ("row" INTEGER PRIMARY KEY AUTOINCREMENT, person TEXT NOT NULL,'
    " name TEXT NOT NULL, camera INTEGER NOT NULL, time REAL, track TEXT NOT NULL,"
    " source BLOB NOT NULL, source_hash BLOB NOT NULL, key BLOB NOT NULL,"
    " attributes TEXT NOT NULL, added INTEGER NOT NULL, expiry INTEGER,"
    " vector_hash BLOB NOT NULL, thumbnail_hash BLOB, changed INTEGER NOT NULL,"
    " checksum BLOB NOT NULL) STRICT",
    "CREATE INDEX people_key ON people (key)",
    "CREATE INDEX people_changed ON people (changed)",
    'CREATE TABLE vectors ("row" INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT',
    'CREATE TABLE thumbnails ("row" INTEGER PRIMARY KEY, picture BLOB NOT NULL) STRICT',
    "CREATE TABLE refused (salted_hash BLOB PRIMARY KEY, checksum BLOB NOT NULL)"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE changes (generation INTEGER PRIMARY KEY, change TEXT NOT NULL) STRICT",
    'CREATE TABLE gone ("row" INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT',
    'CREATE TABLE corrections (generation INTEGER NOT NULL, "row" INTEGER NOT NULL,'
    " at INTEGER NOT NULL, action TEXT NOT NULL, undoes INTEGER NOT NULL,"
    " old_person TEXT NOT NULL, old_name TEXT NOT NULL, person TEXT NOT NULL, name TEXT NOT NULL,"
    ' checksum BLOB NOT NULL, PRIMARY KEY (generation, "row")) STRICT, WITHOUT ROWID',
    'CREATE INDEX corrections_row ON corrections ("row")',
    'CREATE TABLE staged ("row" INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL,'
    " vector BLOB NOT NULL, checksum BLOB NOT NULL) STRICT",
    "CREATE INDEX people_named ON people (person, changed) WHERE name <> ''",
)
"""`meta` has a record for each field of `Meta`, `people` the columns of `Row` in their order.

`changes` and `gone` tell a cache of an earlier generation what it has missed (`columns.py`).
`corrections` has who each row showed before and after a correction, `staged` the vectors of a model
that is to replace the gallery's.
"""
ADDED = {3: TABLES[-4:-1], 4: TABLES[-1:]}
"""What later versions than 2 added."""
SQLITE_OWN = "CREATE TABLE sqlite_sequence(name,seq)"  # the last row number ever given

FIRST_TABLES = (
    META_TABLE,
    "CREATE TABLE people (row_id INTEGER PRIMARY KEY AUTOINCREMENT, person TEXT NOT NULL,"
    " camera INTEGER NOT NULL, time INTEGER NOT NULL, source BLOB NOT NULL,"
    " source_hash BLOB NOT NULL, expiry INTEGER, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
    " STRICT",
    "CREATE TABLE refused (salted_hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
)
"""Of version 1. Its `time` was the moment of adding."""


def tables(connection: Connection) -> list[str]:
    """The statements that made what there is, sorted."""
    found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return sorted(str(sql) for (sql,) in found)


def create(connection: Connection) -> None:
    """Make the tables, inside a transaction."""
    for statement in TABLES:
        connection.execute(statement)
