"""Checks rendered manifests: `check.py DEPLOY_FOLDER RENDERED_FOLDER`.

Each rule is then broken on purpose in a copy, and must notice it.
"""

import copy
import pathlib
import re
import sys

import kubernetes_validate
import yaml

SCHEMA = "1.34"  # the oldest with the preStop sleep for good
UNPRIVILEGED = 65532
SECRET = re.compile(r"kind:\s*Secret\b|stringData|PRIVATE KEY|postgres(ql)?://[^\s:/]+:[^\s@]+@|GOCSPX-")


def containers(document):
    template = document.get("spec", {}).get("template", {}).get("spec", {})
    return template.get("initContainers", []) + template.get("containers", [])


def of_schema(document):
    try:
        kubernetes_validate.validate(document, SCHEMA, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"the schema says: {error.message}"
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
        yield f"no schema: {error}"


def of_container(kind, container):
    security = container.get("securityContext", {})
    expected = {
        "runAsNonRoot": True,
        "runAsUser": UNPRIVILEGED,
        "runAsGroup": UNPRIVILEGED,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for field, value in expected.items():
        if security.get(field) != value:
            yield f"securityContext.{field} is {security.get(field)!r}, not {value!r}"
    resources = container.get("resources", {})
    for part, what in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")]:
        if what not in resources.get(part, {}):
            yield f"resources.{part}.{what} is missing"
    if kind == "Deployment":
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
            if probe not in container:
                yield f"{probe} is missing"
    image = container.get("image", "")
    if not re.search(r"@sha256:[0-9a-f]{64}$|:[^:/@]+$", image) or image.endswith(":latest"):
        yield f"the image {image!r} is not pinned"
    for variable in container.get("env", []):
        if "value" in variable and re.search(r"KEY|SECRET|PASSWORD|TOKEN|_URL$", variable["name"]):
            yield f"{variable['name']} is given as plain text"


def of_document(document):
    yield from of_schema(document)
    if document["kind"] == "Secret":
        yield "secrets do not belong here"
    for container in containers(document):
        yield from of_container(document["kind"], container)
    if document["kind"] in ("Deployment", "Job"):
        pod = document["spec"]["template"]["spec"]
        if pod.get("automountServiceAccountToken") is not False:
            yield "the service account's token is mounted"
        if pod.get("terminationGracePeriodSeconds", 30) < 40:
            yield "the grace period is shorter than the drain and 10 s"
    if document["kind"] == "Namespace":
        label = "pod-security.kubernetes.io/enforce"
        if document["metadata"].get("labels", {}).get(label) != "restricted":
            yield f"the label {label} is not restricted"


# Each breaks one rule in a good Deployment.
BREAKAGES = {
    "a field that does not exist": lambda d, c: d["spec"].update(replicsa=2),
    "a value of the wrong type": lambda d, c: d["spec"].update(replicas="two"),
    "root": lambda d, c: c["securityContext"].update(runAsUser=0),
    "a writable root": lambda d, c: c["securityContext"].pop("readOnlyRootFilesystem"),
    "a capability": lambda d, c: c["securityContext"].update(capabilities={"add": ["NET_ADMIN"]}),
    "no readiness probe": lambda d, c: c.pop("readinessProbe"),
    "no memory limit": lambda d, c: c["resources"].pop("limits"),
    "the latest image": lambda d, c: c.update(image="syncfleet:latest"),
    "an image without a tag": lambda d, c: c.update(image="registry:5000/syncfleet"),
    "a secret in plain text": lambda d, c: c["env"].append({"name": "DATABASE_URL", "value": "x"}),
    "a mounted token": lambda d, c: d["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
    "a short grace period": lambda d, c: d["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=30),
}


def unnoticed(deployment):
    for name, breakage in BREAKAGES.items():
        broken = copy.deepcopy(deployment)
        breakage(broken, containers(broken)[0])
        if not list(of_document(broken)):
            yield f"check.py does not notice {name}"


def main(deploy, rendered):
    problems = []
    deployment = None
    count = 0
    for file in sorted(rendered.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            count += 1
            name = f"{file.stem}: {document['kind']} {document['metadata']['name']}"
            problems += [f"{name}: {problem}" for problem in of_document(document)]
            if document["kind"] == "Deployment":
                deployment = document
    for file in sorted(path for path in deploy.rglob("*") if path.is_file() and "test" not in path.parts):
        if SECRET.search(file.read_text()):
            problems.append(f"{file} holds something like a secret")
    if deployment is None:
        problems.append("nothing was rendered")
    elif not problems:
        problems += unnoticed(deployment)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{count} objects, {len(problems)} problems, {len(BREAKAGES)} breakages tried")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
