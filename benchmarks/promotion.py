"""How long a promotion takes until every process answers with the new version, and what it costs those who ask.

A real gateway before two replicas of inference of two processes each, over the released models (or tiny ones by the
exporter: `--tiny`). While clients ask on and on, two versions take turns. A promotion begins when `active.json` is
written and has been taken up when the last of the four processes has given an answer with the new version; which
process answered stands in the log of inference beside the request's id. Run by `make bench`.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from scripts.processes import Service, free_port, stop_all
from services.gateway.keys import new_key
from shared.model_folder import ACTIVE_FILE, Card, list_models, read_card, write_active, write_model
from shared.preprocessing import InputSpec
from shared.run_folder import utc_now
from shared.self_test import known_logits

ROOT = Path(__file__).parents[1]
FACE = (ROOT / "services/frontend/samples/tiny-face-48x48.png").read_bytes()
SLOTS = ("full", "upper")
"""One request asks two slots, so that an answer that mixes two versions would be seen."""
ALLOWED_S = 2.0
REPLICAS, PROCESSES, CLIENTS = 2, 2, 6
GIVE_UP_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What came of one request; times by the clock that files are stamped with."""

    sent_s: float
    got_s: float
    versions: frozenset[str]
    """None of them if it failed."""


@dataclass
class Load:
    """Clients that ask on and on until `done`, and what they were answered, by request id."""

    done: threading.Event = field(default_factory=threading.Event)
    answers: dict[str, Answer] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, url: str, *, keep_connection: bool) -> None:
        """Ask one address; over a new connection each time, any process may be the one that takes it."""
        session = requests.Session()
        while not self.done.is_set():
            number, sent_s = f"promotion-{next(self.numbers)}", time.time()
            versions: frozenset[str] = frozenset()
            try:
                form = {"detect": "never", "models": list(SLOTS)}
                headers = {"X-Request-ID": number, **({} if keep_connection else {"Connection": "close"})}
                answer = session.post(url, files={"images": FACE}, data=form, headers=headers, timeout=60)
                if answer.status_code == 200:
                    read = answer.json()["images"][0]["faces"][0]["predictions"]
                    versions = frozenset(each["version"] for each in read)
            except (requests.RequestException, LookupError):
                pass  # counts as failed
            self.answers[number] = Answer(sent_s, time.time(), versions)


@contextlib.contextmanager
def serving(models_dir: Path, folder: Path, key: str) -> Iterator[tuple[str, list[str], list[Service]]]:
    """Serve the models until the block ends; give the gateway's address, the replicas', and the replicas."""
    ports = [free_port() for _ in range(REPLICAS + 1)]
    gateway_url, *urls = (f"http://127.0.0.1:{port}" for port in ports)
    replicas = [
        _service(
            "inference",
            folder / f"inference-{number}.log",
            INFERENCE_PORT=str(port),
            INFERENCE_MODELS_DIR=str(models_dir),
            INFERENCE_WORKERS=str(PROCESSES),
        )
        for number, port in enumerate(ports[1:], 1)
    ]
    gateway = _service(
        "gateway",
        folder / "gateway.log",
        GATEWAY_PORT=str(ports[0]),
        GATEWAY_INFERENCE_URL=",".join(urls),
        GATEWAY_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",  # no job is queued, so nothing needs to listen
        GATEWAY_ADMIN_KEY=key,
        GATEWAY_MODELS_DIR=str(models_dir),
        GATEWAY_RUNS_DIR=str(folder / "runs"),
        GATEWAY_DATA_DIR=str(folder / "data"),
    )
    services = [*replicas, gateway]
    try:
        for service in services:
            service.start()
        for service, url in zip(services, [*(f"{url}/readyz" for url in urls), f"{gateway_url}/healthz"], strict=True):
            _wait_until_ready(service, url)
        yield gateway_url, urls, replicas
    finally:
        stop_all(services, patience_s=30)


def _service(name: str, log: Path, **settings: str) -> Service:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "INFERENCE_"))}
    command = [sys.executable, "-m", f"services.{name}"]
    return Service(name, command, log=log, environment={**inherited, "PYTHONPATH": str(ROOT), **settings})


def _wait_until_ready(service: Service, url: str) -> None:
    give_up_s = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up_s and service.exit_code() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.1)
    sys.exit(f"{service.name} did not start. The end of its log:\n{service.tail()}")


class Takeup:
    """Follows which process gave which answer, by the logs of the replicas."""

    def __init__(self, load: Load, replicas: list[Service]) -> None:
        self._load, self._replicas = load, replicas
        self._by_process: dict[tuple[int, int], list[str]] = {}

    def wait(self, version: str, since_s: float) -> float:
        """Return how many seconds after `since_s` the last process answered with the version for the first time."""
        give_up_s = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up_s:
            self._read_logs()
            firsts = [self._first(ids, version, since_s) for ids in self._by_process.values()]
            if len(firsts) == REPLICAS * PROCESSES and None not in firsts:
                return max(first for first in firsts if first is not None) - since_s
            time.sleep(0.02)
        sys.exit(f"After {GIVE_UP_S:.0f} s not every process has answered with {version}.")

    def _first(self, ids: list[str], version: str, since_s: float) -> float | None:
        answers = (self._load.answers.get(number) for number in reversed(ids))
        recent = itertools.takewhile(lambda each: each is None or each.got_s >= since_s, answers)
        return min((each.got_s for each in recent if each and each.versions == {version}), default=None)

    def _read_logs(self) -> None:
        for number, replica in enumerate(self._replicas):
            for line in map(_parsed, replica.new_output()):
                if line.get("path") == "/v1/predict" and line.get("status") == 200:
                    self._by_process.setdefault((number, line["process_id"]), []).append(line["request_id"])


def _parsed(line: str) -> dict[str, Any]:
    return dict(json.loads(line)) if line.startswith("{") else {}


def promote(gateway_url: str, key: str, models_dir: Path, version: str) -> float:
    """Promote a version over HTTP; return the moment at which that was written down."""
    headers, body = {"Authorization": f"Bearer {key}"}, {"slots": list(SLOTS)}
    answer = requests.post(f"{gateway_url}/v1/models/{version}/promote", json=body, headers=headers, timeout=60)
    if answer.status_code != 200:
        sys.exit(f"{version} was not promoted: {answer.text}")
    return (models_dir / ACTIVE_FILE).stat().st_mtime


def released(source: Path, models_dir: Path) -> list[str]:
    """Copy two versions of a models folder, and return their ids."""
    ids = [model_id for model_id, card in list_models(source) if isinstance(card, Card)][:2]
    for model_id in ids:
        card = read_card(source / model_id)
        write_model(models_dir, {name: source / model_id / name for name in card.sha256}, card.model_dump())
    return ids


def tiny(models_dir: Path) -> list[str]:
    """Write two small versions with random weights by the real exporter, and return their ids."""
    from trainer.export import write_float32  # torch comes with it, which takes seconds
    from trainer.network import build_network
    from trainer.onnx_forward import onnx_forward

    spec, card = InputSpec(size=16), {"view": "five", "architecture": "resnet18", "training": {}, "data": {}}
    ids = []
    for version in "12":
        file = models_dir.parent / f"tiny-{version}.onnx"
        write_float32(build_network("resnet18"), spec, file)
        known = known_logits(onnx_forward(file, threads=1), spec)
        names = {"name": "tiny", "version": version, "input": spec, "created": utc_now(), "metrics": {}}
        ids.append(write_model(models_dir, {"model.onnx": file}, {**card, **names, "self_test": known}).id)
    return ids


def measure(models_dir: Path, folder: Path, ids: list[str], promotions: int) -> tuple[list[float], list[Answer]]:
    """Return the seconds that each promotion took, and every answer."""
    write_active(models_dir, dict.fromkeys(SLOTS, ids[0]))
    key, load = new_key(), Load()
    with serving(models_dir, folder, key) as (gateway_url, urls, replicas):
        clients = [
            threading.Thread(target=load.ask, args=(f"{gateway_url}/v1/predictions",), kwargs={"keep_connection": True})
            for _ in range(CLIENTS)
        ]
        clients += [
            threading.Thread(target=load.ask, args=(f"{url}/v1/predict",), kwargs={"keep_connection": False})
            for url in urls
        ]
        for client in clients:
            client.start()
        try:
            takeup, spent = Takeup(load, replicas), list[float]()
            takeup.wait(ids[0], 0.0)
            for version in itertools.islice(itertools.cycle((ids[1], ids[0])), promotions):
                spent.append(takeup.wait(version, promote(gateway_url, key, models_dir, version)))
        finally:
            load.done.set()
            for client in clients:
                client.join()
    return spent, list(load.answers.values())


def main() -> None:
    """Print a row of a Markdown table; end with a sentence if it is not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="a folder with two versions or more")
    parser.add_argument("--tiny", action="store_true", help="small networks by the exporter in place of them")
    parser.add_argument("--promotions", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ids = tiny(folder / "models") if asked.tiny else released(asked.models, folder / "models")
        if len(ids) < 2:
            sys.exit(f"{asked.models} needs two versions; with --tiny there are two of its own.")
        spent, answers = measure(folder / "models", folder, ids, asked.promotions)
    failed, mixed = (sum(len(each.versions) == 0 for each in answers), sum(len(each.versions) > 1 for each in answers))
    print("| promotions | processes | requests | failed | mixed | taken up after, s (median) | s (longest) | of 2 s |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {len(spent)} | {REPLICAS * PROCESSES} | {len(answers)} | {failed} | {mixed} "
        f"| {statistics.median(spent):.2f} | {max(spent):.2f} | {max(spent) / ALLOWED_S:.0%} |"
    )
    if failed or mixed or max(spent) > ALLOWED_S:
        sys.exit(f"No request may fail or be answered by two versions, and {ALLOWED_S:.0f} s are allowed.")


if __name__ == "__main__":
    main()
