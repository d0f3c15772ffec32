"""What is found out about a process from variables and files alone."""

from __future__ import annotations

from typing import Any

import pytest
from around import around
from sonde.sdk import resource
from sonde.sdk.resource import command_args, detect, of_cloud, of_container, of_kubernetes, of_nomad, of_service
from sonde.sdk.surroundings import here

ID = "ab12" * 16
REVISION = "0123456789abcdef0123456789abcdef01234567"
ACCOUNT = {"/var/run/secrets/kubernetes.io/serviceaccount/namespace": "shop-prod"}
PROJECT = {"/srv/x/pyproject.toml": '[project]\nname = "shop"\nversion = "1.2.0"\n'}
COMMIT = {"/srv/x/.git/HEAD": REVISION}


@pytest.mark.parametrize(
    ("environ", "files", "more", "name", "version"),
    [
        ({}, {}, {"command": ["python", "shop.py"]}, "shop", None),
        ({}, {}, {"command": ["python", "-m", "shop.web"], "versions": {"shop": "3.1"}}, "shop", "3.1"),
        ({}, PROJECT, {}, "shop", "1.2.0"),
        ({}, PROJECT, {"versions": {"shop": "1.3.0"}}, "shop", "1.3.0"),
        ({"IMAGE_TAG": "v7"}, PROJECT, {"versions": {"shop": "1.3.0"}}, "shop", "v7"),
        ({"CONTAINER_IMAGE": "reg:5000/shop:v8@sha256:aa"}, PROJECT, {}, "shop", "v8"),
        ({}, COMMIT, {}, "x", "0123456789ab"),
        ({"GIT_COMMIT": "feedbeef"}, {}, {}, "x", "feedbeef"),
        ({"NOMAD_TASK_NAME": "checkout"}, PROJECT, {}, "checkout", "1.2.0"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "resize"}, {}, {}, "resize", None),
        ({"K8S_DEPLOYMENT_NAME": "cart"}, PROJECT, {}, "cart", "1.2.0"),
        ({"HOSTNAME": "cart-7d9c6b8f5d-x2x4z"}, ACCOUNT, {"folder": "/app"}, "cart", None),
        ({}, {}, {"folder": "/", "command": ["python", "-c", "pass"]}, "python", None),
    ],
)
def test_name_and_version_of_a_service(
    environ: dict[str, str], files: dict[str, str], more: dict[str, Any], name: str, version: str | None
) -> None:
    found = of_service(around(environ, files, **more))
    assert (found["service.name"], found.get("service.version")) == (name, version)


@pytest.mark.parametrize("variable", ["DEPLOYMENT_ENVIRONMENT", "APP_ENV", "ENVIRONMENT"])
def test_the_deployment_environment_is_what_variables_say(variable: str) -> None:
    assert of_service(around({variable: "staging"}))["deployment.environment.name"] == "staging"


def test_git_says_revision_and_repository_without_credentials() -> None:
    config = '[remote "origin"]\n\turl = https://me:hunter2@host.example/shop.git\n'
    found = of_service(around(files=COMMIT | {"/srv/x/.git/config": config}))
    assert found["vcs.ref.head.revision"] == REVISION
    assert found["vcs.repository.url.full"] == "https://host.example/shop.git"


@pytest.mark.parametrize(
    "files",
    [
        {"/proc/self/cgroup": f"12:cpu:/docker/{ID}\n"},
        {"/proc/self/cgroup": f"1:name=systemd:/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n"},
        {"/proc/self/cgroup": f"0::/system.slice/docker-{ID}.scope\n"},
        {
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": f"470 457 254:1 /docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/v rw\n",
        },
        {
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": f"1 2 0:1 /x/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n",
        },
    ],
)
def test_the_container_of_a_process(files: dict[str, str]) -> None:
    assert of_container(around(files=files))["container.id"] == ID


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n"},
        {"/proc/self/mountinfo": f"1 2 0:1 / /var/lib/docker/overlay2/{ID}/merged rw - overlay overlay rw\n"},
        {"/proc/self/cgroup": f"0::/docker/{ID}beef\n"},
    ],
)
def test_a_process_outside_of_containers_has_none(files: dict[str, str]) -> None:
    assert of_container(around(files=files)) == {}


@pytest.mark.parametrize(
    ("image", "attributes"),
    [
        ("shop", {"container.image.name": "shop"}),
        ("shop:1.2", {"container.image.name": "shop", "container.image.tags": ["1.2"]}),
        ("reg:5000/team/shop", {"container.image.name": "reg:5000/team/shop"}),
        ("reg:5000/shop:1", {"container.image.name": "reg:5000/shop", "container.image.tags": ["1"]}),
        ("shop@sha256:ab", {"container.image.name": "shop", "container.image.repo_digests": ["shop@sha256:ab"]}),
    ],
)
def test_the_image_is_what_a_variable_says(image: str, attributes: dict[str, object]) -> None:
    assert of_container(around({"CONTAINER_IMAGE": image})) == attributes


def test_a_pod_is_told_by_its_host_name_service_account_and_cgroup() -> None:
    uid = "0a1b2c3d-0000-1111-2222-333344445555"
    files = ACCOUNT | {"/proc/self/cgroup": f"0::/kubepods.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice\n"}
    assert of_kubernetes(around({"HOSTNAME": "cart-7d9c6b8f5d-x2x4z"}, files)) == {
        "k8s.namespace.name": "shop-prod",
        "k8s.pod.name": "cart-7d9c6b8f5d-x2x4z",
        "k8s.pod.uid": uid,
        "k8s.replicaset.name": "cart-7d9c6b8f5d",
        "k8s.deployment.name": "cart",
    }


def test_what_the_downward_api_says_counts_for_more() -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAME": "cart-0", "POD_NAMESPACE": "other", "NODE_NAME": "n1"}
    assert of_kubernetes(around(environ, ACCOUNT)) == {
        "k8s.namespace.name": "other",
        "k8s.pod.name": "cart-0",
        "k8s.node.name": "n1",
    }


def test_pod_variables_mean_nothing_outside_of_kubernetes() -> None:
    assert of_kubernetes(around({"POD_NAME": "peas", "NODE_NAME": "n1"})) == {}


def test_an_allocation_of_nomads() -> None:
    environ = {
        "NOMAD_ALLOC_ID": "a1",
        "NOMAD_TASK_NAME": "web",
        "NOMAD_JOB_NAME": "shop",
        "NOMAD_DC": "dc1",
        "NOMAD_ADDR_http": "x",
    }
    assert of_nomad(around(environ)) == {
        "nomad.alloc.id": "a1",
        "nomad.task.name": "web",
        "nomad.job.name": "shop",
        "nomad.datacenter": "dc1",
    }


@pytest.mark.parametrize(
    ("environ", "platform"),
    [
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "eu-west-1"}, ("aws", "aws_lambda", "eu-west-1")),
        ({"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2"}, ("aws", "aws_ecs", None)),
        ({"K_SERVICE": "shop"}, ("gcp", "gcp_cloud_run", None)),
        ({"WEBSITE_SITE_NAME": "shop", "REGION_NAME": "westeurope"}, ("azure", "azure.app_service", "westeurope")),
        ({"DYNO": "web.1"}, ("heroku", None, None)),
        ({}, (None, None, None)),
    ],
)
def test_a_cloud_is_known_by_its_variables(environ: dict[str, str], platform: tuple[str | None, ...]) -> None:
    found = of_cloud(around(environ))
    assert tuple(found.get(name) for name in ("cloud.provider", "cloud.platform", "cloud.region")) == platform


def test_the_machine_id_of_an_image_is_not_that_of_a_host() -> None:
    files = {"/etc/machine-id": "feed\n"}
    assert resource.of_host(around(files=files))["host.id"] == "feed"
    assert "host.id" not in resource.of_host(around(files=files | {"/proc/self/cgroup": f"0::/docker/{ID}\n"}))


def test_a_process_tells_its_command_and_never_its_arguments() -> None:
    found = resource.of_process(around(command=["python", "shop.py", "--password", "hunter2"]))
    assert found["process.command"] == "shop.py"
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("shop --password hunter2 --port 80", "shop --password *** --port 80"),
        ("shop --db-password=hunter2", "shop --db-password=***"),
        ("shop API_KEY=hunter2", "shop API_KEY=***"),
        ("shop --db postgres://me:hunter2@db/shop", "shop --db postgres://***@db/shop"),
        ("shop --token --verbose", "shop --token --verbose"),
    ],
)
def test_secrets_are_blotted_out_of_a_command_line(command: str, shown: str) -> None:
    assert " ".join(command_args(command.split())) == shown


def test_a_detector_that_fails_costs_its_own_attributes_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> dict[str, resource.Value]:
        raise OSError("no such luck")

    monkeypatch.setattr(resource, "DETECTORS", (broken, resource.of_process))
    assert detect(around())["process.pid"] == 42
    assert "broken failed and is left out" in caplog.text


def test_this_very_process_is_found_out_without_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    found = detect(here())
    assert {"service.name", "host.name", "process.pid", "process.runtime.version"} <= set(found)
    assert caplog.text == ""


def test_every_process_is_an_instance_of_its_own() -> None:
    first, second = resource.of_instance(1, 0), resource.of_instance(2, 1)
    assert first["service.instance.id"] != second["service.instance.id"]
