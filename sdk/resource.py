"""What is true of all telemetry of a process: service, host, process, container, orchestrator, cloud.

Each detector is a function of `Surroundings` alone and gives attributes by the semantic conventions; none runs a program or asks
the network. What one of them can't find it leaves out. Names of Nomad's are not in the conventions and follow its own.
https://opentelemetry.io/docs/specs/semconv/resource/
"""

from __future__ import annotations

import logging
import os.path
import platform
import re
import uuid
from collections.abc import Callable, Iterable, Mapping

from sonde.sdk.program import Program, Project, program_of, project_of, started_by
from sonde.sdk.surroundings import Surroundings

log = logging.getLogger("sonde.sdk")

Value = str | int | bool | list[str]
Attributes = dict[str, Value]

NAMED_BY = (
    "K8S_DEPLOYMENT_NAME",
    "NOMAD_TASK_NAME",
    "AWS_LAMBDA_FUNCTION_NAME",
    "K_SERVICE",
    "CLOUD_RUN_JOB",
    "WEBSITE_SITE_NAME",
    "CONTAINER_APP_NAME",
    "HEROKU_APP_NAME",
    "FLY_APP_NAME",
    "RENDER_SERVICE_NAME",
    "RAILWAY_SERVICE_NAME",
)
"""Variables of platforms that name what they run."""
VERSION_SAID_BY = (
    "SERVICE_VERSION",
    "APP_VERSION",
    "IMAGE_TAG",
    "CONTAINER_IMAGE_TAG",
    "DOCKER_TAG",
    "HEROKU_RELEASE_VERSION",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "K_REVISION",
)
REVISION_SAID_BY = (
    "GIT_COMMIT",
    "GIT_SHA",
    "GIT_REVISION",
    "SOURCE_COMMIT",
    "SOURCE_VERSION",
    "COMMIT_SHA",
    "HEROKU_SLUG_COMMIT",
    "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA",
)
ENVIRONMENT_SAID_BY = (
    "DEPLOYMENT_ENVIRONMENT",
    "DEPLOY_ENV",
    "APP_ENV",
    "APP_ENVIRONMENT",
    "ENVIRONMENT",
    "SENTRY_ENVIRONMENT",
    "DD_ENV",
    "RAILWAY_ENVIRONMENT_NAME",
)
ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "i686": "x86", "armv7l": "arm32"}
CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
POD_UID = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
POD_OF_DEPLOYMENT = re.compile(
    r"(?P<set>(?P<deployment>.+)-[bcdfghjklmnpqrstvwxz2456789]{6,10})-[bcdfghjklmnpqrstvwxz2456789]{5}"
)
"""Kubernetes makes names without vowels, so that they spell nothing."""
ACCOUNT_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def first(environ: Mapping[str, str], names: Iterable[str]) -> str:
    """The first of these variables that says something."""
    return next((environ[name].strip() for name in names if environ.get(name, "").strip()), "")


def renamed(environ: Mapping[str, str], names: Mapping[str, tuple[str, ...]]) -> Attributes:
    """Attributes by the variables that say them; those that say nothing are left out."""
    found = {attribute: first(environ, variables) for attribute, variables in names.items()}
    return {attribute: text for attribute, text in found.items() if text}


def of_service(around: Surroundings) -> Attributes:
    """The name by what the platform says, the project's files, the module or script. The version by what the deployment says,
    the installed distribution, the project's file, git's revision."""
    program = program_of(around.command)
    project = project_of(around, program)
    revision = first(around.environ, REVISION_SAID_BY) or project.revision
    found: Attributes = {
        "service.name": service_name(around, program, project),
        "service.version": service_version(around, program, project) or revision[:12],
        "vcs.ref.head.revision": revision,
        "vcs.ref.head.name": project.branch,
        "vcs.repository.url.full": project.repository,
        "deployment.environment.name": first(around.environ, ENVIRONMENT_SAID_BY),
    }
    return {name: value for name, value in found.items() if value}


def service_name(around: Surroundings, program: Program, project: Project) -> str:
    said = first(around.environ, NAMED_BY)
    return said or str(of_kubernetes(around).get("k8s.deployment.name") or project.name or program.name(around.folder))


def service_version(around: Surroundings, program: Program, project: Project) -> str:
    if said := first(around.environ, VERSION_SAID_BY):
        return said
    if tags := of_container(around).get("container.image.tags"):
        return tags[0] if isinstance(tags, list) else ""
    for name in (project.name, program.module.partition(".")[0]):
        if name and (version := around.version_of(name)):
            return version
    return project.version


def of_host(around: Surroundings) -> Attributes:
    found: Attributes = {
        "host.name": around.host,
        "host.arch": ARCHITECTURES.get(around.machine, around.machine),
        "os.type": around.system.lower(),
    }
    # The file of an image says nothing about the machine that a container runs on.
    if "container.id" not in of_container(around):
        found["host.id"] = (around.read("/etc/machine-id") or "").strip()
    for line in (around.read("/etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        name = {"PRETTY_NAME": "os.description", "VERSION_ID": "os.version"}.get(key)
        if name:
            found[name] = value.strip("\"'")
    return {name: value for name, value in found.items() if value}


def of_process(around: Surroundings) -> Attributes:
    started, _ = started_by(around.command)
    found: Attributes = {
        "process.pid": around.pid,
        "process.parent_pid": around.parent_pid,
        "process.executable.name": os.path.basename(around.executable),
        "process.executable.path": around.executable,
        "process.command": started.script or started.module or (around.command[0] if around.command else ""),
        "process.runtime.name": platform.python_implementation().lower(),
        "process.runtime.version": platform.python_version(),
    }
    return {name: value for name, value in found.items() if value}


def of_container(around: Surroundings) -> Attributes:
    """By cgroups, version 1 in /proc/self/cgroup, version 2 in the mounts that a runtime makes for a container; the image by
    variables."""
    found: Attributes = {}
    mounts = (around.read("/proc/self/mountinfo") or "").splitlines()
    own = "\n".join(line for line in mounts if "/hostname " in line or "/resolv.conf " in line)
    if identity := CONTAINER_ID.search(around.read("/proc/self/cgroup") or "") or CONTAINER_ID.search(own):
        found["container.id"] = identity[0]
    if image := first(around.environ, ("CONTAINER_IMAGE", "IMAGE", "DOCKER_IMAGE")):
        name, _, digest = image.partition("@")
        repository, colon, tag = name.rpartition(":")
        tagged = bool(colon) and "/" not in tag
        found["container.image.name"] = repository if tagged else name
        if tagged:
            found["container.image.tags"] = [tag]
        if digest:
            found["container.image.repo_digests"] = [image]
    return found


KUBERNETES = {
    "k8s.pod.name": ("K8S_POD_NAME", "POD_NAME", "KUBERNETES_POD_NAME", "MY_POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "POD_UID", "KUBERNETES_POD_UID", "MY_POD_UID"),
    "k8s.namespace.name": (
        "K8S_NAMESPACE_NAME",
        "K8S_NAMESPACE",
        "POD_NAMESPACE",
        "KUBERNETES_NAMESPACE",
        "MY_POD_NAMESPACE",
    ),
    "k8s.node.name": ("K8S_NODE_NAME", "NODE_NAME", "KUBERNETES_NODE_NAME", "MY_NODE_NAME"),
    "k8s.container.name": ("K8S_CONTAINER_NAME", "CONTAINER_NAME"),
    "k8s.deployment.name": ("K8S_DEPLOYMENT_NAME",),
    "k8s.statefulset.name": ("K8S_STATEFULSET_NAME",),
    "k8s.daemonset.name": ("K8S_DAEMONSET_NAME",),
    "k8s.job.name": ("K8S_JOB_NAME",),
    "k8s.cronjob.name": ("K8S_CRONJOB_NAME",),
    "k8s.cluster.name": ("K8S_CLUSTER_NAME", "CLUSTER_NAME"),
}
"""Names under which manifests commonly pass what the downward API tells."""


def of_kubernetes(around: Surroundings) -> Attributes:
    """Nothing outside a pod. A pod is known by Kubernetes' own variables or by its service account."""
    account = (around.read(ACCOUNT_NAMESPACE) or "").strip()
    if not account and "KUBERNETES_SERVICE_HOST" not in around.environ:
        return {}
    found: Attributes = {}
    if account:
        found["k8s.namespace.name"] = account
    # A pod's host name is its own name, unless it shares the network of its node.
    found["k8s.pod.name"] = around.environ.get("HOSTNAME") or around.host
    if uid := POD_UID.search(around.read("/proc/self/cgroup") or "") or POD_UID.search(
        around.read("/proc/self/mountinfo") or ""
    ):
        found["k8s.pod.uid"] = uid[1].replace("_", "-")
    found |= renamed(around.environ, KUBERNETES)
    if named := POD_OF_DEPLOYMENT.fullmatch(str(found["k8s.pod.name"])):
        found.setdefault("k8s.replicaset.name", named["set"])
        found.setdefault("k8s.deployment.name", named["deployment"])
    return found


NOMAD = {
    "nomad.alloc.id": ("NOMAD_ALLOC_ID",),
    "nomad.alloc.name": ("NOMAD_ALLOC_NAME",),
    "nomad.alloc.index": ("NOMAD_ALLOC_INDEX",),
    "nomad.task.name": ("NOMAD_TASK_NAME",),
    "nomad.group.name": ("NOMAD_GROUP_NAME",),
    "nomad.job.id": ("NOMAD_JOB_ID",),
    "nomad.job.name": ("NOMAD_JOB_NAME",),
    "nomad.namespace": ("NOMAD_NAMESPACE",),
    "nomad.datacenter": ("NOMAD_DC",),
    "nomad.region": ("NOMAD_REGION",),
    "nomad.node.id": ("NOMAD_NODE_ID",),
    "nomad.node.name": ("NOMAD_NODE_NAME",),
}


def of_nomad(around: Surroundings) -> Attributes:
    """https://developer.hashicorp.com/nomad/docs/reference/runtime-environment-settings"""
    return renamed(around.environ, NOMAD)


CLOUDS: tuple[tuple[str, Attributes, Mapping[str, tuple[str, ...]]], ...] = (
    (
        "AWS_LAMBDA_FUNCTION_NAME",
        {"cloud.provider": "aws", "cloud.platform": "aws_lambda"},
        {
            "faas.name": ("AWS_LAMBDA_FUNCTION_NAME",),
            "faas.version": ("AWS_LAMBDA_FUNCTION_VERSION",),
            "faas.instance": ("AWS_LAMBDA_LOG_STREAM_NAME",),
            "cloud.region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        },
    ),
    (
        "ECS_CONTAINER_METADATA_URI_V4",
        {"cloud.provider": "aws", "cloud.platform": "aws_ecs"},
        {"cloud.region": ("AWS_REGION", "AWS_DEFAULT_REGION")},
    ),
    (
        "K_SERVICE",
        {"cloud.provider": "gcp", "cloud.platform": "gcp_cloud_run"},
        {"faas.name": ("K_SERVICE",), "faas.version": ("K_REVISION",), "cloud.account.id": ("GOOGLE_CLOUD_PROJECT",)},
    ),
    (
        "CLOUD_RUN_JOB",
        {"cloud.provider": "gcp", "cloud.platform": "gcp_cloud_run"},
        {"faas.name": ("CLOUD_RUN_JOB",), "faas.instance": ("CLOUD_RUN_EXECUTION",)},
    ),
    (
        "FUNCTIONS_WORKER_RUNTIME",
        {"cloud.provider": "azure", "cloud.platform": "azure.functions"},
        {"faas.name": ("WEBSITE_SITE_NAME",), "cloud.region": ("REGION_NAME",)},
    ),
    (
        "WEBSITE_SITE_NAME",
        {"cloud.provider": "azure", "cloud.platform": "azure.app_service"},
        {"cloud.region": ("REGION_NAME",), "host.id": ("WEBSITE_INSTANCE_ID",)},
    ),
    (
        "DYNO",
        {"cloud.provider": "heroku"},
        {"heroku.app.id": ("HEROKU_APP_ID",), "heroku.release.commit": ("HEROKU_SLUG_COMMIT",)},
    ),
)
"""The variable that gives a platform away, what is then known, and what its variables say. The first that matches counts."""


def of_cloud(around: Surroundings) -> Attributes:
    for sign, known, names in CLOUDS:
        if around.environ.get(sign):
            return {**known, **renamed(around.environ, names)}
    return {}


DETECTORS: tuple[Callable[[Surroundings], Attributes], ...] = (
    of_host,
    of_process,
    of_container,
    of_kubernetes,
    of_nomad,
    of_cloud,
    of_service,
)


def detect(around: Surroundings) -> Attributes:
    """All that can be found out. A detector that fails is left out and told: it is no reason for a program not to start."""
    found: Attributes = {}
    for detector in DETECTORS:
        try:
            found |= detector(around)
        except Exception:
            log.exception("resource attributes: %s failed and is left out", detector.__name__)
    return found


def of_instance(pid: int, parent_pid: int) -> Attributes:
    """What differs between the processes of a service; made anew in a forked child."""
    return {"service.instance.id": str(uuid.uuid4()), "process.pid": pid, "process.parent_pid": parent_pid}


def command_args(command: Iterable[str]) -> list[str]:
    """A command line without what looks like a secret: values of flags that are named so, and credentials in URLs."""
    from sonde.sdk.secrets import BLOTTED_OUT, SECRET_WORD, URL_CREDENTIALS

    shown: list[str] = []
    hide_next = False
    for word in command:
        name, equals, _ = word.partition("=")
        secret = SECRET_WORD.search(name) is not None
        if hide_next and not word.startswith("-"):
            shown.append(BLOTTED_OUT)
        elif secret and equals:
            shown.append(f"{name}={BLOTTED_OUT}")
        else:
            shown.append(URL_CREDENTIALS.sub(f"{BLOTTED_OUT}@", word))
        hide_next = secret and not equals and word.startswith("-")
    return shown
