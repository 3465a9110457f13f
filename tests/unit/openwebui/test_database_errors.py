"""Which refusals are the database's trouble, which passes, and which the plugin's."""

from __future__ import annotations

import time

import pytest

from owui_watch.openwebui.database_errors import is_database_failure, without_own_statement

BACKGROUND = "\n(Background on this error at: https://sqlalche.me/e/20/e3q8)"
UPDATE = '\n[SQL: UPDATE "function" SET content=$1::VARCHAR WHERE "function".id = $2::VARCHAR]\n[parameters: (\'x\',)]'
TRANSIENT = [
    "(sqlite3.OperationalError) database is locked",
    "(sqlite3.OperationalError) database table is locked: function",
    "(sqlite3.OperationalError) attempt to write a readonly database",
    "(sqlite3.OperationalError) database or disk is full",
    "(sqlite3.OperationalError) disk I/O error",
    "(sqlite3.OperationalError) unable to open database file",
    "(sqlite3.DatabaseError) database disk image is malformed",
    "(sqlite3.DatabaseError) file is not a database",
    "(psycopg2.OperationalError) SSL SYSCALL error: EOF detected",
    "(psycopg.OperationalError) consuming input failed: could not receive data from server: Connection timed out",
    "(psycopg.OperationalError) the connection is lost",
    "(psycopg2.OperationalError) FATAL:  query_wait_timeout",
    "(psycopg2.OperationalError) FATAL:  no more connections allowed (max_client_conn)",
    "(psycopg.errors.ReadOnlySqlTransaction) cannot execute UPDATE in a read-only transaction",
    "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction",
    '(psycopg.OperationalError) connection failed: connection to server at "10.0.0.1", port 5432 failed: FATAL:  sorry, '
    "too many clients already",
    '(psycopg2.OperationalError) connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused',
    "(psycopg2.OperationalError) FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
    '(psycopg2.OperationalError) could not translate host name "db" to address: Name or service not known',
    "(psycopg.OperationalError) failed to resolve host 'db': [Errno -3] Temporary failure in name resolution",
    "(psycopg.OperationalError) connection failed: FATAL:  the database system is starting up",
    "(psycopg.OperationalError) consuming input failed: server closed the connection unexpectedly",
    "(psycopg2.OperationalError) SSL connection has been closed unexpectedly",
    "(psycopg.errors.AdminShutdown) terminating connection due to administrator command",
    "(psycopg.OperationalError) the connection is closed",
    "(psycopg2.InterfaceError) connection already closed",
    '(psycopg2.errors.DiskFull) could not extend file "base/16384/2619": No space left on device',
    "(psycopg2.errors.DeadlockDetected) deadlock detected",
    "(psycopg2.errors.SerializationFailure) could not serialize access due to concurrent update",
    "(psycopg2.errors.LockNotAvailable) canceling statement due to lock timeout",
    "(sqlalchemy.dialects.postgresql.asyncpg.Error) <class 'asyncpg.exceptions.ReadOnlySQLTransactionError'>: cannot "
    "execute UPDATE in a read-only transaction",
    "(sqlalchemy.dialects.postgresql.asyncpg.InterfaceError) <class 'asyncpg.exceptions._base.InterfaceError'>: "
    "connection is closed",
    "(pymysql.err.OperationalError) (2006, \"MySQL server has gone away (BrokenPipeError(32, 'Broken pipe'))\")",
    "(pymysql.err.OperationalError) (2003, \"Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)\")",
    "(pymysql.err.OperationalError) (1040, 'Too many connections')",
    "(pymysql.err.OperationalError) (1205, 'Lock wait timeout exceeded; try restarting transaction')",
    "(pymysql.err.OperationalError) (1290, 'The MySQL server is running with the --read-only option')",
    "(psycopg2.errors.CrashShutdown) terminating connection because of crash of another server process",
    "(psycopg2.errors.InFailedSqlTransaction) current transaction is aborted, commands ignored until end of transaction "
    "block",
    "(psycopg2.errors.OutOfMemory) out of memory\nDETAIL:  Failed on request of size 64 in memory context",
    "(psycopg.OperationalError) FATAL:  MaxClientsInSessionMode: max clients reached - in Session mode max clients are "
    "limited to pool_size",
    "(sqlalchemy.dialects.postgresql.asyncpg.InterfaceError) <class 'asyncpg.exceptions._base.InterfaceError'>: cannot "
    "perform operation: another operation is in progress",
    "(sqlalchemy.dialects.postgresql.asyncpg.Error) <class 'asyncpg.exceptions.InvalidPasswordError'>: password "
    'authentication failed for user "owui"',
    "(pymysql.err.InternalError) (1792, 'Cannot execute statement in a READ ONLY transaction.')",
    "(pymysql.err.OperationalError) (1203, \"User owui already has more than 'max_user_connections' active connections\")",
    "(pymysql.err.OperationalError) (1053, 'Server shutdown in progress')",
    "(pymysql.err.OperationalError) (1129, \"Host '10.0.0.2' is blocked because of many connection errors\")",
    "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    "Can't reconnect until invalid transaction is rolled back.  Please rollback() fully before proceeding",
]
REDIS = [
    "Error 111 connecting to localhost:6379. Connection refused.",
    "Error -2 connecting to redis:6379. Name or service not known.",
    "Error while reading from redis:6379 : (104, 'Connection reset by peer')",
    "Error UNKNOWN while writing to socket. Connection lost.",
    "Error 32 while writing to socket. Broken pipe.",
    "Timeout writing to socket",
    "NOREPLICAS Not enough good replicas to write.",
    "Authentication required.",
    "Timeout connecting to server",
    "Connection closed by server.",
    "max number of clients reached",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "command not allowed when used memory > 'maxmemory'.",
    "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "The cluster is down",
    "Too many connections",
    "invalid username-password pair or user is disabled.",
    "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be "
    "used to authenticate the client and select the RESP protocol version at the same time",
    "No master found for 'mymaster'",
]
OURS = [
    "(sqlite3.IntegrityError) UNIQUE constraint failed: function.id",
    '(psycopg2.errors.NotNullViolation) null value in column "name" violates not-null constraint',
    "(psycopg2.errors.StringDataRightTruncation) value too long for type character varying(255)",
    "(psycopg.DataError) PostgreSQL text fields cannot contain NUL (0x00) bytes",
    "(sqlite3.ProgrammingError) Error binding parameter 1: type 'dict' is not supported",
    "(builtins.TypeError) Object of type set is not JSON serializable",
]


class TestServersOwn:
    @pytest.mark.parametrize("text", TRANSIENT)
    @pytest.mark.parametrize("more", ["", BACKGROUND, UPDATE + BACKGROUND])
    def test_transient_error_is_the_databases(self, text: str, more: str) -> None:
        known_by_background = text.startswith("Can't")
        assert is_database_failure(text + (more or BACKGROUND if known_by_background else more), "class Filter: ...")

    @pytest.mark.parametrize(
        "text",
        [
            "(sqlite3.OperationalError) no such table: function",
            "(sqlite3.OperationalError) no such column: function.version_id",
            '(psycopg.errors.UndefinedTable) relation "function" does not exist\nLINE 1: UPDATE "function" SET content=$1',
            '(psycopg2.errors.UndefinedColumn) column "version_id" of relation "function" does not exist',
            "(psycopg.errors.UndefinedColumn) column function.version_id does not exist",
            "(psycopg.errors.InsufficientPrivilege) permission denied for table function",
            "(pymysql.err.ProgrammingError) (1146, \"Table 'owui.function' doesn't exist\")",
            "(pymysql.err.OperationalError) (1054, \"Unknown column 'function.version_id' in 'field list'\")",
        ],
    )
    def test_schema_that_the_release_does_not_expect(self, text: str) -> None:
        assert is_database_failure(text + UPDATE + BACKGROUND, "class Filter: ...")
        assert not is_database_failure(f"{text}\n[SQL: SELECT * FROM mine]{BACKGROUND}", "class Filter: ...")

    @pytest.mark.parametrize("text", REDIS)
    def test_error_of_redis_is_no_plugins(self, text: str) -> None:
        assert is_database_failure(text, "class Filter: ...")

    @pytest.mark.parametrize(
        "text", ["[Errno 28] No space left on device: '/tmp/x.py'", "[Errno 122] Disk quota exceeded"]
    )
    def test_full_disk_is_no_plugins_error(self, text: str) -> None:
        assert is_database_failure(text, "import sqlite3\n")

    @pytest.mark.parametrize(
        "statement",
        [
            'UPDATE "function" SET content=?',
            "UPDATE tool SET content=?",
            "INSERT INTO function_history (id, function_id) VALUES (?, ?)",
            "INSERT INTO tool (id) VALUES (?)",
            "SELECT user.id AS user_id \nFROM user \nWHERE user.id = ?",
            'SELECT "user".id FROM "user" WHERE "user".api_key = %(api_key_1)s',
            "SELECT access_grant.id FROM access_grant",
        ],
    )
    def test_statement_on_its_own_tables(self, statement: str) -> None:
        text = f"(sqlite3.OperationalError) database is locked\n[SQL: {statement}]{BACKGROUND}"
        assert is_database_failure(text, "import sqlite3\n")


class TestPlugins:
    @pytest.mark.parametrize("text", OURS)
    @pytest.mark.parametrize("more", ["", BACKGROUND, UPDATE + BACKGROUND])
    def test_data_and_integrity(self, text: str, more: str) -> None:
        assert not is_database_failure(text + more, "class Filter: ...")

    @pytest.mark.parametrize(
        "code",
        [
            "import sqlalchemy\n",
            "from sqlalchemy import create_engine\n",
            "    import sqlite3 as db\n",
            "import os, sqlite3\n",
            "from psycopg2.extras import execute_values\n",
            "import redis.asyncio\n",
            "import asyncpg\n",
            "FRAME = pandas.read_sql_query('select 1', URL)\n",
            "from langchain_community.utilities import SQLDatabase\n",
            "URL = 'postgresql+psycopg2://me@db/mine'\n",
            "cache = connect('redis://cache:6379/0')\n",
        ],
    )
    def test_database_that_the_code_uses_itself(self, code: str) -> None:
        for text in (*TRANSIENT, *REDIS):
            assert not is_database_failure(text + BACKGROUND, f"import json\n{code}class Filter: ...\n")

    @pytest.mark.parametrize(
        "statement", ["SELECT 1", "INSERT INTO mine (id) VALUES (?)", "UPDATE functions_of_mine SET x"]
    )
    def test_statement_on_other_tables(self, statement: str) -> None:
        text = f"(sqlite3.OperationalError) database is locked\n[SQL: {statement}]{BACKGROUND}"
        assert not is_database_failure(text, "class Filter: ...")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "invalid syntax (<string>, line 2)",
            "No module named 'sqlalchemy'",
            "database is locked",
            "connection refused",
            "[Errno 111] Connection refused",
            "HTTPConnectionPool(host='x', port=80): Max retries exceeded",
            "[Errno 2] No such file or directory: 'x'",
            "name 'redis' is not defined",
            "API: too many connections",
            "my server: Authentication required.",
        ],
    )
    def test_any_other_text_is_the_plugins(self, text: str) -> None:
        assert not is_database_failure(text, "class Filter: ...")


class TestText:
    @pytest.mark.parametrize("more", ["", UPDATE, BACKGROUND, UPDATE + BACKGROUND])
    @pytest.mark.parametrize("text", ["(sqlite3.OperationalError) database is locked", *OURS])
    def test_without_own_statement_and_parameters(self, text: str, more: str) -> None:
        assert without_own_statement(text + more) == text

    def test_with_a_statement_of_the_plugins_own(self) -> None:
        text = "(sqlite3.OperationalError) no such table: mine\n[SQL: SELECT * FROM mine]"
        assert without_own_statement(text) == text

    @pytest.mark.parametrize("part", ["(sqlite3 ", "[SQL: FROM ", "error 1 connecting to ", "connection to server at "])
    def test_takes_no_time_however_long(self, part: str) -> None:
        code = "import a, b, c, d " * 50_000 + "\n" * 100_000
        began = time.process_time()
        is_database_failure(part * 100_000, code)
        assert time.process_time() - began < 2
