"""Keys and their store: what is stored, what is refused, and what other processes do meanwhile."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.stack_settings import ROOT
from services.gateway.__main__ import main
from services.gateway.key_store import KeyStore
from services.gateway.keys import Key, KeyStoreError, Role, is_strong, new_key, split_key
from services.gateway.settings import SettingsError, load_key_settings

KEY = re.compile(r"hf_[a-z0-9]{8}_[A-Za-z0-9_-]{43,}")
GIVEN = "hf_testing1_0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """Give a store in a folder that is not there yet."""
    return KeyStore(tmp_path / "runs" / "keys.json")


@pytest.fixture
def command_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the settings name a key file, and return it; no other variable of the gateway is set."""
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(tmp_path / "keys.json"))
    return tmp_path / "keys.json"


def keys(*arguments: str) -> Sequence[str]:
    """Return the command line of the `keys` command in a process of its own."""
    return [sys.executable, "-m", "services.gateway", "keys", *arguments]


# --- one key ---------------------------------------------------------------------------------------------------------


def test_a_key_has_256_random_bits_and_no_two_are_equal() -> None:
    made = [new_key() for _ in range(100)]
    secrets = {parts[1] for key in made if (parts := split_key(key))}
    assert len(secrets) == 100
    assert min(map(len, secrets)) >= 43  # base64 digits of 6 bits each
    assert all(is_strong(key) for key in made)


@pytest.mark.parametrize(
    "key",
    ["", "secret", "hf_testing1_short", "hf_x_" + GIVEN[12:], "hf_testing1_" + "a" * 64, GIVEN + " ", GIVEN.upper()],
)
def test_a_key_that_can_be_guessed_is_not_strong(key: str) -> None:
    assert not is_strong(key)


def test_roles_are_ordered() -> None:
    allowed = {role: [needed for needed in Role if role.allows(needed)] for role in Role}
    assert allowed == {
        Role.PREDICT: [Role.PREDICT],
        Role.TRAIN: [Role.PREDICT, Role.TRAIN],
        Role.ADMIN: [Role.PREDICT, Role.TRAIN, Role.ADMIN],
    }


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_key_is_found_again_and_its_secret_is_not_in_the_file(store: KeyStore) -> None:
    key = store.create("lab", Role.TRAIN)
    found = KeyStore(store.path).find(key)
    assert found
    assert (found.name, found.role, found.revoked) == ("lab", Role.TRAIN, None)
    assert key.split("_", 2)[2] not in store.path.read_text()
    assert found.sha256 in store.path.read_text()


def test_the_file_is_its_owners_alone(store: KeyStore) -> None:
    store.create("lab", Role.TRAIN)
    store.create("other", Role.TRAIN)
    assert [path.stat().st_mode & 0o777 for path in store.path.parent.iterdir()] == [0o600, 0o600]


def test_other_keys_are_unknown(store: KeyStore) -> None:
    key = store.create("lab", Role.TRAIN)
    other_secret = "_".join([*key.split("_")[:2], new_key().split("_", 2)[2]])
    same_secret = "_".join(["hf", "00000000", key.split("_", 2)[2]])
    for wrong in (other_secret, same_secret, new_key(), key[:-1], key + "x", key.upper(), "", "hf__", "ключ"):
        assert store.find(wrong) is None, wrong


def test_without_a_file_nobody_is_known(store: KeyStore) -> None:
    assert store.find(GIVEN) is None
    assert store.all() == []


def test_a_revoked_key_stops_working_and_is_still_listed(store: KeyStore) -> None:
    reader = KeyStore(store.path)
    key = store.create("lab", Role.TRAIN)
    assert reader.find(key)
    store.revoke("lab")
    assert reader.find(key) is None
    assert [(known.name, bool(known.revoked)) for known in reader.all()] == [("lab", True)]


def test_a_key_is_revoked_by_its_id_too_and_only_once(store: KeyStore) -> None:
    key = store.create("lab", Role.TRAIN)
    assert store.revoke(key.split("_")[1]).name == "lab"
    with pytest.raises(KeyStoreError, match="revoked already"):
        store.revoke("lab")
    with pytest.raises(KeyStoreError, match="no key 'nobody'"):
        store.revoke("nobody")


def test_a_name_is_used_once_even_after_its_key_was_revoked(store: KeyStore) -> None:
    key = store.create("lab", Role.TRAIN)
    with pytest.raises(KeyStoreError, match="'lab' is taken; choose another"):
        store.create("lab", Role.ADMIN)
    with pytest.raises(KeyStoreError, match="is taken"):
        store.create(key.split("_")[1], Role.ADMIN)
    store.revoke("lab")
    with pytest.raises(KeyStoreError, match="taken by a revoked key"):
        store.create("lab", Role.TRAIN)


@pytest.mark.parametrize("name", ["", "-lab", "a b", "x" * 41, "a\nb", "../x"])
def test_a_name_that_would_spoil_a_log_is_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(KeyStoreError, match="letters, digits"):
        store.create(name, Role.TRAIN)
    assert not store.path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{}]}'])
def test_a_file_that_cannot_be_read_lets_nobody_in_and_is_not_replaced(store: KeyStore, content: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(content)
    for use in (lambda: store.find(GIVEN), store.all, store.create_first, lambda: store.create("lab", Role.TRAIN)):
        with pytest.raises(KeyStoreError, match=r"keys\.json cannot be read"):
            use()
    assert store.path.read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyStoreError, match=r"file/keys\.json cannot be written"):
        KeyStore(tmp_path / "file" / "keys.json").create_first()


# --- the first key ---------------------------------------------------------------------------------------------------


def test_the_first_key_is_an_admins_and_made_once(store: KeyStore) -> None:
    first = store.create_first()
    assert first
    assert (found := store.find(first))
    assert (found.name, found.role) == ("owner", Role.ADMIN)
    assert store.create_first() is None


def test_other_roles_are_no_first_key_and_a_revoked_one_is_followed_by_another(store: KeyStore) -> None:
    store.create("lab", Role.TRAIN)
    assert store.create_first()
    store.revoke("owner")
    assert store.create_first()
    assert [key.name for key in store.all()] == ["lab", "owner", "owner-2"]


def test_the_first_key_may_be_given_but_not_after_it_was_revoked(store: KeyStore) -> None:
    assert store.create_first(GIVEN) == GIVEN
    assert isinstance(store.find(GIVEN), Key)
    store.revoke("owner")
    with pytest.raises(KeyStoreError, match="id testing1 before"):
        store.create_first(GIVEN)


def test_of_processes_that_start_at_once_one_makes_the_first_key(command_file: Path) -> None:
    started = [subprocess.Popen(keys("first"), cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    shown = "".join(process.communicate()[0] for process in started)
    assert [process.returncode for process in started] == [0, 0, 0, 0]
    (key,) = KEY.findall(shown)
    assert KeyStore(command_file).find(key)
    assert [known["name"] for known in json.loads(command_file.read_text())["keys"]] == ["owner"]


# --- the command and its settings ------------------------------------------------------------------------------------


def test_the_command_makes_lists_and_revokes_keys(command_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "create", "--name", "lab", "--role", "train"])
    made = capsys.readouterr()
    key = made.out.strip()
    assert KEY.fullmatch(key)
    assert str(command_file) in made.err
    main(["keys", "list"])
    listed = capsys.readouterr().out
    assert re.search(rf"^lab +{key.split('_')[1]} +train ", listed, re.MULTILINE)
    assert key.split("_", 2)[2] not in listed
    main(["keys", "revoke", "lab"])
    assert "no longer works" in capsys.readouterr().out
    assert KeyStore(command_file).find(key) is None


def test_the_command_refuses_with_a_sentence(command_file: Path) -> None:
    with pytest.raises(SystemExit, match="There is no key 'lab'"):
        main(["keys", "revoke", "lab"])
    with pytest.raises(SystemExit, match="keys --help"):
        main(["serve"])


def test_the_first_key_is_shown_once_but_not_one_that_was_given(
    command_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["keys", "first"])
    main(["keys", "first"])
    (shown,) = KEY.findall(capsys.readouterr().out)
    assert KeyStore(command_file).find(shown)

    command_file.unlink()
    monkeypatch.setenv("GATEWAY_ADMIN_KEY", GIVEN)
    main(["keys", "first"])
    assert capsys.readouterr().out == ""
    assert KeyStore(command_file).find(GIVEN)


def test_a_given_key_that_comes_too_late_is_said_to_be_unused(
    command_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyStore(command_file).create("mine", Role.ADMIN)
    monkeypatch.setenv("GATEWAY_ADMIN_KEY", GIVEN)
    main(["keys", "first"])
    assert "GATEWAY_ADMIN_KEY is not in use" in capsys.readouterr().out


def test_a_weak_key_in_the_environment_is_refused_without_being_shown(
    command_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_ADMIN_KEY", "my-password")
    with pytest.raises(SettingsError, match=r"GATEWAY_ADMIN_KEY is no strong key.*openssl rand") as caught:
        load_key_settings()
    assert "my-password" not in str(caught.value) + str(caught.value.__cause__)


def test_the_keys_lie_beside_the_runs_unless_a_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_RUNS_DIR", str(tmp_path))
    monkeypatch.setenv("GATEWAY_KEYS_FILE", "")
    assert load_key_settings().keys_path == tmp_path / "keys.json"
    monkeypatch.setenv("GATEWAY_KEYS_FILE", "/elsewhere/k.json")
    assert load_key_settings().keys_path == Path("/elsewhere/k.json")
