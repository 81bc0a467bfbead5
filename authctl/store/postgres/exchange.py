"""Several statements in one message to the server, and their answers in one: libpq's pipeline, without a cursor for each statement.

A cursor of the driver takes 50 to 80 µs a statement, of which the server needs 20 (decision 317). So the statements of every sign-in
and every look-up go this way. Parameters are `$1`, `$2`, …, and go as texts, so that the server alone decides of which type they are.
"""

import select
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.store.postgres.errors import DIVISION_BY_ZERO, LOCKED
from authctl.store.postgres.library import execute, psycopg

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

TO_PRIMARY = "/*NO LOAD BALANCE*/ "
"""The beginning of every statement: Pgpool-II sends it to the server that takes changes, and to no standby (decision 312)."""

Row = tuple[Any, ...]

_Status, _Connection = psycopg.pq.ExecStatus, psycopg.pq.ConnStatus
_TEXT = psycopg.adapt.PyFormat.TEXT
_BINARY_RESULT = 1
_OF_VALUES = {DIVISION_BY_ZERO, LOCKED}
"""The errors of a turn that is over, and of a wait that was too long: the prepared statements are there as before."""
_WAIT_R, _WAIT_RW = psycopg.waiting.Wait.R, psycopg.waiting.Wait.RW


class Statement(NamedTuple):
    """A statement with its parameters."""

    sql: str
    parameters: Sequence[Any] = ()


class AtCommit(NamedTuple):
    """An audit event that is appended in one message with the commit, so that the chain is locked for no turn of the client."""

    lock: tuple[Statement, ...]
    """Takes the lock of the chain, by a statement before: the snapshot of one that takes it would be older. None if one takes it already."""
    append: Statement
    """Appends the event, and gives its place as a row."""
    find: Statement
    """Gives the same row if the event is there; for a commit whose answer was lost."""
    appended: list[Row]
    """Its row, once that is known. It belongs to the change: another one may begin on the connection before it is looked at."""


class Exchanges:
    """The exchanges of a connection, and the statements that the server has prepared for them."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._transformer = psycopg.adapt.Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._last_name = 0
        self._readable = select.poll()
        self._readable.register(connection.fileno(), select.POLLIN)

    def forget(self) -> None:
        """Prepare every statement again when it is next used: the driver has the server forget them after a rollback that it sends."""
        self._names.clear()

    def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """The rows of each statement. After the first error nothing of the rest is done, and it is raised: a psycopg.Error."""
        pgconn = self._connection.pgconn
        if len(statements) == 1 and (self._connection.prepare_threshold is None or statements[0].sql in self._names):
            return [self._run_one(pgconn, statements[0])]
        values = [self._encoded(statement.parameters) for statement in statements]
        skipped: list[bool] = []
        pgconn.enter_pipeline_mode()
        try:
            skipped += [self._send(pgconn, one.sql, given) for one, given in zip(statements, values, strict=True)]
            pgconn.pipeline_sync()
            answers = iter(self._connection.wait(_answers(pgconn)))
            rows = []
            for is_new in skipped:
                if is_new:
                    next(answers)
                rows.append(self._rows(next(answers)))
            return rows
        except BaseException as error:
            self._forget_after(error, *(one for one, is_new in zip(statements, skipped, strict=False) if is_new))
            raise
        finally:
            _leave(pgconn)

    def _run_one(self, pgconn: "PGconn", statement: Statement) -> list[Row]:
        """The rows of one statement that needs no preparation: without a pipeline, which is a tenth of the time of a look-up."""
        self._send(pgconn, statement.sql, self._encoded(statement.parameters))
        results = self._connection.wait(execute(pgconn))
        try:
            _raise_first(results)
        except psycopg.Error as error:
            self._forget_after(error)
            raise
        return self._rows(results[-1])

    def find(self, look_up: Statement, patience: float | None) -> Row | None:
        """The first row of a statement that waits for no lock; None if there is none. Errors as in `run`.

        The server has so many seconds to answer; without a limit `patience` is None.
        """
        name = self._names.get(look_up.sql)
        if name is None:
            (rows,) = self.run((look_up,))
            return rows[0] if rows else None
        values = self._encoded(look_up.parameters)
        pgconn = self._connection.pgconn
        pgconn.send_query_prepared(name, values, result_format=_BINARY_RESULT)
        results = self._connection.wait(execute(pgconn)) if pgconn.flush() else self._awaited(pgconn, patience)
        if not results:
            raise psycopg.OperationalError("the connection is lost")
        try:
            _raise_first(results)
        except psycopg.Error as error:
            self._forget_after(error)
            raise
        if not results[0].ntuples:
            return None
        self._transformer.set_pgresult(results[0])
        return self._transformer.load_row(0, tuple)

    def _awaited(self, pgconn: "PGconn", patience: float | None) -> "list[PGresult]":
        """The results of a statement that was sent. After a wait that was broken off the connection is closed: the answer may still come."""
        # decision 362: the driver's generators and its way to wait are a fifth of the client's part of a look-up
        results: list[PGresult] = []
        try:
            while True:
                while pgconn.is_busy():
                    self._wait(patience)
                    _consume(pgconn, results)
                result = pgconn.get_result()
                if result is None:
                    return results
                results.append(result)
        except BaseException:
            pgconn.finish()
            raise

    def _wait(self, patience: float | None) -> None:
        """Wait until the server has sent something. Raises OperationalError, in the words of the driver, if that takes too long."""
        if not self._readable.poll(None if patience is None else patience * 1000):
            raise psycopg.OperationalError("timeout expired")

    def _forget_after(self, error: BaseException, *new: Statement) -> None:
        """Prepare again what may not be prepared: those that are new, or all after an error that may come from that."""
        if getattr(error, "sqlstate", None) not in _OF_VALUES:
            self.forget()
        for statement in new:
            self._names.pop(statement.sql, None)

    def _encoded(self, parameters: Sequence[Any]) -> Sequence[Any]:
        return self._transformer.dump_sequence(parameters, [_TEXT] * len(parameters)) if parameters else ()

    def _send(self, pgconn: "PGconn", sql: str, values: Sequence[Any]) -> bool:
        """Send one statement; True if it is prepared first, which has an answer of its own."""
        if (
            self._connection.prepare_threshold is None
        ):  # a pooler may give each transaction another process of the server
            pgconn.send_query_params((TO_PRIMARY + sql).encode(), values, result_format=_BINARY_RESULT)
            return False
        name = self._names.get(sql)
        is_new = name is None
        if name is None:
            self._last_name += 1
            name = self._names[sql] = b"authctl_%d" % self._last_name
            pgconn.send_prepare(name, (TO_PRIMARY + sql).encode())
        pgconn.send_query_prepared(name, values, result_format=_BINARY_RESULT)
        return is_new

    def _rows(self, result: "PGresult") -> list[Row]:
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)


def _answers(pgconn: "PGconn") -> "PQGen[list[PGresult]]":
    """Wait for the answers of a pipeline, up to its end. Raises the first error."""
    while pgconn.flush():
        yield _WAIT_RW
        pgconn.consume_input()  # a server that has much to answer reads on only when its answers are read
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            yield _WAIT_R
            _consume(pgconn, results)
        result = pgconn.get_result()
        if result is not None and result.status == _Status.PIPELINE_SYNC:
            break
        if result is not None:
            results.append(result)
        elif pgconn.status == _Connection.BAD:
            _raise_first(results)
            raise psycopg.OperationalError("the connection is lost")
    _raise_first(results)
    return results


def _consume(pgconn: "PGconn", results: "list[PGresult]") -> None:
    """Read the messages that have come. A server that ends the connection gives its reason before."""
    try:
        pgconn.consume_input()
    except psycopg.OperationalError:
        _raise_first(results)
        raise


def _raise_first(results: "Sequence[PGresult]") -> None:
    """Raise the first error of some answers; those of the statements after it tell nothing."""
    for result in results:
        if result.status == _Status.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result, encoding="utf-8")


def _leave(pgconn: "PGconn") -> None:
    """Leave the pipeline; after a wait that was broken off the connection is of no more use."""
    if pgconn.status == _Connection.BAD:
        return
    try:
        pgconn.exit_pipeline_mode()
    except psycopg.Error:
        pgconn.finish()
