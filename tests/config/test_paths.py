from pathlib import Path

from config.services.paths import CHECKOUT, Home, home


def test_sockets_move_to_a_short_folder_when_the_path_would_be_too_long():
    assert Home(Path("/srv/preceptor")).run == Path("/srv/preceptor/run")
    long = Home(Path("/srv") / ("a" * 90))
    assert len(str(long.run / "postgres" / ".s.PGSQL.5432.lock")) < 107
    assert long.run != Home(Path("/srv") / ("b" * 90)).run


def test_the_default_lies_outside_the_checkout_and_belongs_to_it_alone(monkeypatch):
    monkeypatch.delenv("PRECEPTOR_HOME", raising=False)
    assert CHECKOUT not in home().path.parents
    assert home().path.name.startswith(f"{CHECKOUT.name}-")


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    place = Home(tmp_path / "home")
    place.prepare()
    place.ensure_secret_key()
    key = place.secret_key_file.read_text()
    place.ensure_secret_key()
    assert place.secret_key_file.read_text() == key
    assert len(key) > 50
    assert place.secret_key_file.stat().st_mode & 0o077 == 0
