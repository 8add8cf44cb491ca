"""What hosts the app: proxies, containers, several processes, and the page that tells of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from app import serve
from app.server.health import PATH
from app.server.proxy import caddyfile, nginx
from app.shared.host import Host, host
from lolora_core.commands.main import app as lolora

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
UPSTREAMS = ["app1:8501", "app2:8501"]


def test_the_proxies_are_told_what_the_program_would_tell_them() -> None:
    caddy = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    assert caddy == caddyfile("{$SITE::80}", UPSTREAMS)
    assert f"health_uri {PATH}" in caddy
    found = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert found == nginx("80", UPSTREAMS, Host().max_upload_mb)
    assert found.count("{") == found.count("}")


def test_the_proxies_take_their_files_where_they_are_installed(tmp_path: Path) -> None:
    # Names that this machine can look up.
    names = ["127.0.0.1:8502", "127.0.0.1:8503"]
    (tmp_path / "Caddyfile").write_text(caddyfile(":8501", names))
    site = tmp_path / "site.conf"
    site.write_text(nginx("8501", names, 64))
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ include {site}; }}\n")
    commands = [
        ["caddy", "validate", "--config", f"{tmp_path}/Caddyfile", "--adapter", "caddyfile"],
        ["nginx", "-t", "-c", str(whole)],
    ]
    for command in commands:
        if shutil.which(command[0]):
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, ended.stderr


def test_the_lock_holds_every_requirement_with_its_hash() -> None:
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    locked = (DEPLOY / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}", line) for line in locked)
    versions = {line.split()[0].replace("_", "-") for line in locked}
    asked = {line.lower().replace("_", "-") for line in wanted if line[0] != "#"}
    # It has a wheel for CPUs and others for GPUs.
    assert {name for name in asked - versions if not name.startswith("torch==")} == set()


def test_the_document_says_what_each_dependency_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["app"]]
    text = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| package \| why \|\n\|[- |]+\n((?:\|.*\n)+)", text)
    rows = [re.split(r" *\| *", line)[1:3] for line in table.splitlines()]
    told = [name for names, why in rows for name in names.split(", ") if why]
    assert sorted(told) == sorted(re.split(r"[>=\[]", name)[0] for name in needed)


def test_compose_has_the_services_that_its_proxy_asks() -> None:
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = found["services"]
    assert [f"{name}:8501" for name in services if name != "proxy"] == UPSTREAMS
    proxy = services["proxy"]
    assert set(proxy["depends_on"]) == set(services) - {"proxy"}
    for volume in proxy["volumes"]:
        source = volume.split(":")[0]
        assert source in found["volumes"] or (DEPLOY / source).is_file()
    for name in set(services) - {"proxy"}:
        build = services[name]["build"]
        context = DEPLOY / build["context"]
        assert context.resolve() == ROOT
        assert (context / build["dockerfile"]).is_file()
        assert services[name]["environment"] == {"LOLORA_HOSTED": "1"}


def test_the_container_copies_what_is_there_and_runs_as_nobody_in_particular() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    steps = [(line[0], line[1]) for line in lines]
    copied = [
        words.split()[:-1] for step, words in steps if step == "COPY" and "--from" not in words
    ]
    assert {name for names in copied for name in names} >= {"app", "lolora_core", "assets"}
    for names in copied:
        for name in names:
            assert (ROOT / name).exists(), name
    places = {step: place for place, (step, _) in enumerate(steps)}
    assert dict(steps)["USER"] == "lolora"
    assert places["COPY"] < places["USER"] < places["CMD"]
    assert f"127.0.0.1:8501{PATH}" in dict(steps)["HEALTHCHECK"]
    program, *words = yaml.safe_load(dict(steps)["CMD"])
    assert program == "lolora"
    # Its options are the command's.
    assert CliRunner().invoke(lolora, [*words, "--help"]).exit_code == 0


@pytest.mark.parametrize("hosted", [False, True])
def test_every_limit_stands_in_the_document(monkeypatch: pytest.MonkeyPatch, hosted: bool) -> None:
    for name in [name for name in os.environ if name.startswith("LOLORA_")]:
        monkeypatch.delenv(name)
    if hosted:
        monkeypatch.setenv("LOLORA_HOSTED", "1")
    text = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `LOLORA_(\w+)` \| ([^|]*) \| ([^|]*) \|", text, re.M)
    told = {name.lower(): (alone, shared)[hosted].strip() for name, alone, shared in rows}
    assert told == {name: as_told(value) for name, value in host().model_dump().items()}


def as_told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,g}" if isinstance(value, float) else str(value)


def has_ended(process: serve.Process) -> bool:
    """Look at a process once, and say whether it has been seen to end."""
    process.look()
    return process.pid is None


def test_a_process_that_ends_starts_again_later_and_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    process = serve.Process("worker 1", ["true"], clock=lambda: now)
    waits = []
    process.start()
    for _ in range(7):
        while not has_ended(process):
            pass
        ended = now
        while has_ended(process):
            now += 0.5
        waits.append(now - ended)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert "worker 1 ended with code 0; it starts again in 16 s." in capsys.readouterr().err
    # What ran for long begins a new row.
    now += 100
    while not has_ended(process):
        pass
    assert "again in 1 s" in capsys.readouterr().err.splitlines()[-1]


def test_workers_are_renewed_one_by_one_and_ended_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_LOOK", 0.01)
    *workers, proxy = (serve.Process(name, ["sleep", "60"]) for name in ("1", "2", "proxy"))
    seen: list[tuple[int | None, ...]] = []

    def healthy(place: int) -> None:
        seen.append(tuple(worker.pid for worker in workers))
        if place == 1:
            fleet.end()

    fleet = serve.Fleet(workers, proxy, healthy)
    fleet.renew()
    fleet.run()
    (new, old), (same, newer) = seen
    assert new == same
    assert old != newer
    assert [process.pid for process in (*workers, proxy)] == [None] * 3
    for number in (new, newer):
        with pytest.raises(ProcessLookupError):
            os.kill(number or 0, 0)


def test_without_caddy_it_says_how_to_stand_a_proxy_before_the_workers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fleets: list[serve.Fleet] = []
    monkeypatch.setattr(serve.Fleet, "run", lambda fleet: fleets.append(fleet))
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    monkeypatch.setattr(serve.shutil, "which", lambda _: None)
    serve.main(workers=2, port=9000)
    told = capsys.readouterr()
    assert "nothing listens on port 9000 yet" in told.err
    assert told.out.strip() == nginx("9000", ["127.0.0.1:9001", "127.0.0.1:9002"], 64).strip()
    serve.main(workers=1, port=9000)
    assert capsys.readouterr() == ("", "")
    assert len(fleets) == 2
