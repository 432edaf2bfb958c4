"""What befalls a pass in the middle of its work: one clear error, nothing half-written, and the next pass goes on."""

import os
import subprocess
import threading
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer

import pytest

from sparklabel.errors import ModelError, SetupError, TableError
from tests.unit.engines.openai.endpoint import JsonHandler, completion


def once(act):
    """Behind the first chunk only."""
    return lambda line: act() if line["chunk"] == 1 else None


@pytest.fixture
def mapped(spark, table):
    """A table whose columns can be renamed and dropped, with too many rows for a small pass."""
    spark.sql(
        f"CREATE TABLE {table} USING DELTA TBLPROPERTIES ('delta.columnMapping.mode' = 'name') "
        "AS SELECT id, concat('fresh ', id) AS text FROM range(40)"
    )
    return table


def test_a_table_dropped_during_the_pass_is_named(spark, mapped, label, behind_chunk):
    with (
        behind_chunk(once(lambda: spark.sql(f"DROP TABLE {mapped}"))),
        pytest.raises(TableError, match=f"{mapped} is gone: it was dropped or moved during the pass"),
    ):
        label(mapped)
    assert not spark.catalog.tableExists(mapped)


def test_a_column_renamed_during_the_pass_is_named_and_renaming_it_back_loses_nothing(
    spark, mapped, label, behind_chunk, rows_of
):
    with (
        behind_chunk(once(lambda: spark.sql(f"ALTER TABLE {mapped} RENAME COLUMN verdict TO mine"))),
        pytest.raises(
            TableError, match=f"The column 'verdict' of {mapped} is gone.*\n.*answers wait in staging"
        ),
    ):
        label(mapped)
    assert {tuple(row) for row in spark.sql(f"SELECT mine, verdict_label FROM {mapped}").collect()} == {
        (None, None)
    }
    spark.sql(f"ALTER TABLE {mapped} RENAME COLUMN mine TO verdict")
    assert label(mapped).resumed_inputs > 0
    assert {row.value for row in rows_of(mapped).values()} == {"fresh"}


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 4 MB; gives its folder. For root only."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(ballast):
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_named_and_once_there_is_room_the_next_pass_goes_on(
    spark, table, label, behind_chunk, tiny_disk, rows_of
):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(200)")
    ballast = tiny_disk / "ballast"
    with (
        behind_chunk(once(lambda: fill(ballast))),
        pytest.raises(TableError, match=f"The pass over {table} could not write: .*No space left on device"),
    ):
        label(table, staging=str(tiny_disk))
    assert {(row.value, row.label) for row in rows_of(table).values()} == {(None, None)}
    ballast.unlink()
    assert 0 < label(table, staging=str(tiny_disk)).resumed_inputs < 200
    assert {row.value for row in rows_of(table).values()} == {"fresh"}


@pytest.fixture
def closable(request, tmp_path):
    """A folder, and what takes everybody's right to write there: root's goes with the whole file system's only."""
    if os.geteuid():
        yield tmp_path, ("chmod", "-R", "a-w", str(tmp_path))
        subprocess.run(("chmod", "-R", "u+w", str(tmp_path)), check=True)
    else:
        disk = request.getfixturevalue("tiny_disk")
        yield disk, ("mount", "-o", "remount,ro", str(disk))


def test_a_read_only_table_is_named_whenever_the_pass_finds_that_out(
    spark, label, closable, tmp_path_factory
):
    folder, close = closable
    spark.sql(
        f"CREATE TABLE delta.`{folder}` USING DELTA AS SELECT id, concat('fresh ', id) AS text FROM range(40)"
    )
    subprocess.run(close, check=True)
    refusal = r"(Read-only file system|Permission denied)"
    with pytest.raises(TableError, match=r"The staging table in .* cannot be created: .*Cannot create"):
        label(str(folder))
    with pytest.raises(TableError, match=rf"could not write: .*{refusal}.*\n.*get permission to write"):
        label(str(folder), staging=str(tmp_path_factory.mktemp("staging")))
    assert spark.sql(f"SELECT * FROM delta.`{folder}`").columns == ["id", "text"]


def test_a_model_with_damaged_weights_is_refused_before_the_table_is_touched(small, label, version, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((100).to_bytes(8, "little") + b'{"broken off')
    with pytest.raises(ModelError, match=r"has a damaged file: model\.safetensors"):
        label(small, model=str(tmp_path), engine="transformers")
    assert version(small) == 0


class Endpoint(JsonHandler):
    """Answers everything with "fresh", and counts; unless the server takes no key."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuses:
            self.send_error(401)
            return
        with self.server.lock:
            self.server.asked += 1
        self.send_json(*completion('{"answer": "fresh"}'))


def stop(server):
    server.shutdown()
    server.server_close()


class Server(ThreadingHTTPServer):
    request_queue_size = 200  # nobody who comes is turned away


@contextmanager
def serving(port=0, refuses=False):
    server = Server(("127.0.0.1", port), Endpoint)
    server.lock, server.asked, server.refuses = threading.Lock(), 0, refuses
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield server
    finally:
        stop(server)


def test_a_server_that_goes_away_fails_its_rows_and_the_next_pass_asks_only_those(
    spark, table, label, behind_chunk
):
    spark.sql(f"CREATE TABLE {table} USING DELTA AS SELECT id, concat('text ', id) AS text FROM range(200)")
    options = {"engine": "openai", "max_retries": 0}
    with serving() as server, behind_chunk(once(lambda: stop(server))):
        options["base_url"] = f"http://127.0.0.1:{server.server_port}/v1"
        report = label(table, **options, max_error_ratio=0.2)
    left = 200 - server.asked
    assert (report.stopped, report.by_status) == (
        "max_error_ratio",
        {"ok": server.asked, "engine_error": left},
    )
    assert "no connection to 127.0.0.1" in report.failure
    with serving(server.server_port) as again:
        rest = label(table, **options)
    assert (rest.by_status, again.asked) == ({"ok": left}, left)


def test_what_a_worker_refuses_is_the_error_of_a_staged_pass(small, label):
    with serving(refuses=True) as server, pytest.raises(SetupError, match=r"127\.0\.0\.1") as caught:
        label(small, engine="openai", base_url=f"http://127.0.0.1:{server.server_port}/v1")
    assert caught.value.hint
