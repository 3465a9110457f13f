"""Is a refusal the database's trouble? That passes by itself; a fault of the plugin's own data or code does not.

The texts are those of SQLAlchemy and of the drivers for SQLite, PostgreSQL, MySQL and Redis, which Open WebUI hands on.
"""

from __future__ import annotations

import re
from functools import cache

_MAX_TEXT = 4_000
_MAX_CODE = 1_000_000

_FAILURES = (
    # SQLite
    r"database (?:table |schema )?is locked",
    r"attempt to write a readonly database",
    r"database or disk is full",
    r"disk I/O error",
    r"unable to open database file",
    r"database disk image is malformed",
    r"file is not a database",
    # PostgreSQL: messages, then the names of psycopg's and asyncpg's exceptions
    r"in a read[- ]only transaction",
    r"too many clients already",
    r"remaining connection slots are reserved",
    r"too many connections",
    r"database system is (?:starting up|shutting down|in recovery mode|not yet accepting connections)",
    r"cannot connect now",
    r"terminating connection (?:due to|because of)",
    r"current transaction is aborted",
    r"another operation is in progress",
    r"out of (?:shared )?memory",
    r"password authentication failed",
    r"server closed the connection unexpectedly",
    r"(?:SSL )?connection has been closed unexpectedly",
    r"connection (?:is|was|already) (?:closed|lost)",
    r"SSL SYSCALL error",
    r"could not (?:receive data from|send data to) server",
    r"connection to server at .{1,200} failed",
    r"connection to server on socket .{1,200} failed",
    r"connection (?:refused|reset by peer|timed out|timeout expired)",
    r"could not connect to server",
    r"could not translate host name",
    r"failed to resolve host",
    r"no space left on device",
    r"could not extend file",
    r"deadlock detected",
    r"could not serialize access",
    r"canceling statement due to",
    r"(?:ReadOnlySqlTransaction|ReadOnlySQLTransactionError|TooManyConnections(?:Error)?|AdminShutdown(?:Error)?)",
    r"(?:CannotConnectNow(?:Error)?|DiskFull(?:Error)?|LockNotAvailable(?:Error)?|DeadlockDetected(?:Error)?)",
    r"(?:SerializationFailure|SerializationError|QueryCanceled(?:Error)?|ConnectionDoesNotExistError)",
    # PgBouncer, and Supabase's pooler
    r"query_wait_timeout|server_login_retry|server conn crashed|no more connections allowed",
    r"max clients reached",
    # MySQL and MariaDB
    r"server has gone away",
    r"lost connection to .{0,20}server",
    r"can't connect to .{0,20}server",
    r"lock wait timeout exceeded",
    r"deadlock found when trying to get lock",
    r"running with the --(?:super-)?read-only option",
    r"the table '.{1,100}' is full",
    r"max_user_connections",
    r"is blocked because of many connection errors",
    r"server shutdown in progress",
    # SQLAlchemy's pool
    r"pool limit of size \d+ overflow -?\d+ reached",
    r"can't reconnect until invalid transaction is rolled back",
    r"this session's transaction has been rolled back due to a previous exception",
)
_OWN_TABLE_FAILURES = (
    # Another release has migrated the database, a backup is being restored, or the server's user lacks a right.
    r"no such (?:table|column)",
    r"(?:relation|column) \S{1,200} does not exist",
    r"permission denied for (?:table|schema|sequence|relation)",
    r"table '\S{1,200}' doesn't exist",
    r"unknown column '",
    r"command denied to user",
)
# redis-py takes the code off most errors (OOM, NOAUTH, WRONGPASS, MASTERDOWN, CLUSTERDOWN, LOADING, READONLY).
_REDIS = (
    r"error (?:-?\d+|unknown) (?:while )?(?:connecting to \S{1,200}|writing to socket)",
    r"error while reading from \S{1,200}",
    r"timeout (?:connecting to server|reading from|writing to socket)",
    r"connection closed by server",
    r"max number of clients reached",
    r"misconf redis is configured",
    r"you can't write against a read only replica",
    r"redis is loading the dataset in memory",
    r"command not allowed when used memory > 'maxmemory'",
    r"^too many connections$",
    r"no (?:master|slave|replica) found for",
    r"link with master is down",
    r"^the cluster is down$|^hash slot not served$",
    r"noreplicas not enough good replicas",
    r"^authentication required\.$|^hello must be called with the client already authenticated",
    r"^invalid username-password pair",
)
_FROM_SQLALCHEMY = re.compile(
    r"^\((?:sqlite3|aiosqlite|psycopg\w*|asyncpg|sqlalchemy|pymysql|MySQLdb|mysql|mariadb|aiomysql|asyncmy)\b"
    r"|sqlalche\.me/e/|^QueuePool limit|^This Session's transaction",
    re.IGNORECASE,
)
_DISK_FULL = re.compile(r"\[Errno (?:28|122)\] ")
"""ENOSPC and EDQUOT: the server could not write the plugin's code to a temporary file."""
_STATEMENT = re.compile(r"\[SQL: (.{0,1000})", re.DOTALL)
_DETAILS = re.compile(r"\s*(?:\[SQL: |\(Background on this error at: )")
_OWN_TABLE = re.compile(
    r"\b(?:FROM|INTO|UPDATE)\s+[\"`]?(?:function|tool|user|auth|api_key|config|group|access_grant)"
    r"(?:_\w{1,40})?[\"`]?(?=[\s(\]]|$)",
    re.IGNORECASE,
)
_USES_DATABASE = re.compile(
    r"^[ \t]*(?:from|import)[ \t][^\n]*\b(?:sqlalchemy|sqlmodel|sqlite3|aiosqlite|psycopg\w*|asyncpg|pymysql|MySQLdb|mysql|mariadb"
    r"|aiomysql|asyncmy|peewee|redis|aioredis|valkey|tortoise|databases|duckdb)\b"
    r"|\b(?:postgres(?:ql)?|mysql|mariadb|sqlite|rediss?)(?:\+\w{1,40})?://"
    r"|\b(?:read_sql\w{0,10}|to_sql|SQLDatabase)\b",
    re.MULTILINE,
)
"""The code imports a database library, names a database's address, or reads one through pandas or LangChain."""


def is_database_failure(text: str, content: str) -> bool:
    """Return whether ``text``, the server's reason, says that its database or Redis can't work for now.

    Errors of data and integrity are the plugin's, and so are errors of a database that ``content``, the plugin's code,
    uses itself: they name a statement on another table than Open WebUI's, or the code uses a database.
    """
    text = text[:_MAX_TEXT]
    statement = _STATEMENT.search(text)
    if statement is not None:
        if _OWN_TABLE.search(statement[1]) is None:
            return False
        return _any_of(_FAILURES + _OWN_TABLE_FAILURES).search(text[: statement.start()]) is not None
    if _DISK_FULL.match(text) is not None:
        return True
    if _USES_DATABASE.search(content[:_MAX_CODE]) is not None:
        return False
    if _any_of(_REDIS).search(text) is not None:
        return True
    return _FROM_SQLALCHEMY.search(text) is not None and _any_of(_FAILURES).search(text) is not None


def without_own_statement(text: str) -> str:
    """Return SQLAlchemy's text without the link at its end, and without a statement of Open WebUI's own.

    Its parameters hold the plugin's code. A statement of the plugin's stays: its author wrote it.
    """
    statement = _STATEMENT.search(text)
    if statement is not None and _OWN_TABLE.search(statement[1]) is None:
        return text
    return _DETAILS.split(text, maxsplit=1)[0]


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile ``patterns`` at the first refusal, not at the start: it takes some 20 ms."""
    return re.compile("|".join(patterns), re.IGNORECASE)
