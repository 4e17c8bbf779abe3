"""Files of deploy/ keep what a careful operator would look for; checked without a container runtime, by the tools' own linters where they are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from charter.guard.engine import Guard
from charter.guard.gateway.config import load_config
from charter.guard.policy import load_policy, shipped_text

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = sorted(path.name for path in DEPLOY.glob("compose.*.yaml"))
#: A word that names a secret with a value after it; references to environment, files and placeholders are none.
PLAIN = r"(?!\$|/|\{|\[|\.\.\.|true|false|secrets/|$)"
SECRET = re.compile(r"(?i)^[^#\n]*(password|secret|api_key|token)\w*[ \t]*[:=][ \t]*[\"']?" + PLAIN + r"(\S+)", re.MULTILINE)
NOT_SECRET = {"UPSTREAM_API_KEY", "/run/secrets/postgres", "false"}


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found is not None]


def deployment() -> dict[str, Any]:
    (found,) = documents(KUBERNETES / "deployment.yaml")
    return found["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    (found,) = deployment()["containers"]
    return found


@pytest.mark.parametrize("path", [pytest.param(p, id=str(p.relative_to(DEPLOY))) for p in sorted(DEPLOY.rglob("*.yaml"))])
def test_every_file_is_yaml_and_holds_no_secret(path: Path) -> None:
    assert documents(path)
    text = path.read_text(encoding="utf-8")
    assert [match[0].strip() for match in SECRET.finditer(text) if match[2].strip("\"'") not in NOT_SECRET] == []


@pytest.mark.parametrize("line", ["password: hunter2", "  POSTGRES_PASSWORD: 'x'", "API_KEY=abc", 'token: "t"'])
def test_the_search_for_secrets_finds_them(line: str) -> None:
    assert SECRET.search(line)


def test_the_pod_runs_as_nobody_on_a_read_only_disk() -> None:
    pod, box = deployment()["securityContext"], container()["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert box["readOnlyRootFilesystem"] is True
    assert box["allowPrivilegeEscalation"] is False
    assert box["capabilities"] == {"drop": ["ALL"]}
    assert deployment()["automountServiceAccountToken"] is False


def test_the_pod_has_probes_and_bounds() -> None:
    box = container()
    paths = {name: box[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}, "a drain must not look like a dead process"
    assert {"cpu", "memory"} <= set(box["resources"]["requests"])
    assert "memory" in box["resources"]["limits"]


def test_what_is_mounted_writable_is_what_the_program_writes_to() -> None:
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container()["volumeMounts"]}
    assert mounts == {"/etc/charter": True, "/tmp": False, "/var/lib/charter": False}
    assert {volume["name"] for volume in deployment()["volumes"]} == {mount["name"] for mount in container()["volumeMounts"]}


def test_there_is_time_to_drain() -> None:
    """The place that stops the process waits longer than the process drains."""
    shutdown = load_config(KUBERNETES / "gateway.yaml").shutdown
    assert deployment()["terminationGracePeriodSeconds"] > shutdown.announce_s + shutdown.drain_s
    default = load_config(DEPLOY / "gateway" / "gateway.yaml").shutdown
    unit = (DEPLOY / "systemd" / "charter-gateway.service").read_text(encoding="utf-8")
    compose = documents(DEPLOY / "compose.yaml")[0]["services"]["gateway"]["stop_grace_period"]
    for given in (re.search(r"^TimeoutStopSec=(\d+)", unit, re.MULTILINE)[1], compose.removesuffix("s")):
        assert int(given) > default.announce_s + default.drain_s


def test_the_manifests_belong_together() -> None:
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml", "models-network.yaml"}
    assert files == {*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]}
    label = {"app.kubernetes.io/name": "charter-gateway"}
    assert documents(KUBERNETES / "service.yaml")[0]["spec"]["selector"] == label
    assert documents(KUBERNETES / "disruption.yaml")[0]["spec"]["selector"]["matchLabels"] == label
    assert documents(KUBERNETES / "network.yaml")[0]["spec"]["podSelector"]["matchLabels"] == label
    assert (
        documents(KUBERNETES / "autoscaler.yaml")[0]["spec"]["scaleTargetRef"]["name"]
        == documents(KUBERNETES / "deployment.yaml")[0]["metadata"]["name"]
    )


def test_configurations_are_read_by_the_gateway() -> None:
    ports = {"vllm": 8000, "ollama": 11434, "llamacpp": 8080}
    for name, port in ports.items():
        assert load_config(DEPLOY / "gateway" / f"{name}.yaml").upstream.url == f"http://127.0.0.1:{port}/v1"
    for path in (KUBERNETES / "gateway.yaml", DEPLOY / "gateway" / "gateway.yaml"):
        config = load_config(path)
        assert (config.listen.host, config.listen.port, config.listen.open) == ("0.0.0.0", 8700, False)
    assert container()["ports"][0]["containerPort"] == 8700


def test_the_guard_of_the_manifests_is_the_default_one_and_can_be_built() -> None:
    text = (KUBERNETES / "guard.yaml").read_text(encoding="utf-8")
    assert text == shipped_text("default"), "copy src/charter/guard/texts/default.yaml to deploy/kubernetes/guard.yaml"
    Guard(load_policy(KUBERNETES / "guard.yaml"))


def test_compose_publishes_the_gateway_alone_and_on_loopback() -> None:
    base = documents(DEPLOY / "compose.yaml")[0]
    gateway = base["services"]["gateway"]
    assert gateway["ports"] == ["127.0.0.1:8700:8700"]
    assert (gateway["read_only"], gateway["cap_drop"]) == (True, ["ALL"])
    assert base["networks"]["models"] == {"internal": True}
    assert {"healthcheck"} <= set(base["services"]["postgres"])
    assert OVERLAYS == ["compose.llamacpp.yaml", "compose.ollama.yaml", "compose.vllm.yaml"]
    for name in OVERLAYS:
        upstream = documents(DEPLOY / name)[0]["services"]["upstream"]
        assert "ports" not in upstream
        assert "models" in upstream["networks"]
        assert "healthcheck" in upstream
        assert not upstream["image"].endswith((":latest", ":main"))


def test_no_image_is_the_latest() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DEPLOY / "Dockerfile", *DEPLOY.rglob("*.yaml")))
    assert not re.search(r":latest\b", text)


def test_the_image_runs_as_nobody_and_takes_only_what_it_needs() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK [^\\]*\\\n +CMD .*/readyz", last, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        allowed = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        for name in source.split():
            assert (ROOT / name).exists()
            assert any(f"!{name}" == line or f"!{name}".startswith(f"{line}/") for line in allowed), f"{name} is not in the build's context"
    assert (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()[0] == "*"


def test_hadolint_finds_nothing() -> None:
    if (hadolint := shutil.which("hadolint")) is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_kubernetes_schemas_accept_every_manifest() -> None:
    tool = shutil.which("kubernetes-validate") or shutil.which("kubernetes-validate", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("kubernetes-validate is not installed (pip install kubernetes-validate)")
    files = [path.name for path in sorted(KUBERNETES.glob("*.yaml")) if "kind:" in path.read_text(encoding="utf-8") and path.stem != "kustomization"]
    done = subprocess.run([tool, "--strict", "-k", "1.33", *files], cwd=KUBERNETES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("passed") + done.stdout.count("passed") >= len(files)


def test_systemd_reads_the_unit_and_finds_it_shut(tmp_path: Path) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "charter-gateway.service"
    text = (DEPLOY / "systemd" / "charter-gateway.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/charter/bin/charter", sys.executable), encoding="utf-8")
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    shut = subprocess.run([analyze, "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True, text=True, check=False)
    assert shut.returncode == 0, shut.stdout[-600:]
