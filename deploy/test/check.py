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


def closes(expression):
    """Whether what is opened in a PromQL expression is closed again."""
    pairs = {")": "(", "}": "{", "]": "["}
    opened = []
    for character in re.sub(r'"[^"]*"', "", expression):
        if character in pairs.values():
            opened.append(character)
        elif character in pairs and (not opened or opened.pop() != pairs[character]):
            return False
    return not opened and '"' not in re.sub(r'"[^"]*"', "", expression)


def of_alert(alert):
    name = alert.get("alert", "an alert without a name")
    if alert.keys() != {"alert", "expr", "for", "labels", "annotations"}:
        yield f"{name} has the fields {sorted(alert)}"
        return
    if not re.fullmatch(r"Syncfleet[A-Z][A-Za-z]+", name):
        yield f"{name} does not say whose it is"
    if not re.search(r"\bsyncfleet_\w+", alert["expr"]) or not closes(alert["expr"]):
        yield f"{name}: the expression is none"
    if not re.fullmatch(r"[1-9]\d*[mh]", str(alert["for"])):
        yield f"{name}: for {alert['for']!r}"
    if alert["labels"].get("severity") not in ("critical", "warning"):
        yield f"{name}: the severity is {alert['labels'].get('severity')!r}"
    for field in ["summary", "description"]:
        if not alert["annotations"].get(field):
            yield f"{name} has no {field}"
    if alert["annotations"].keys() - {"summary", "description"}:
        yield f"{name} has the annotations {sorted(alert['annotations'])}"


def of_rules(document):
    names = set()
    for group in document["spec"]["groups"]:
        if group.keys() != {"name", "rules"} or group["name"] in names:
            yield f"the group {group.get('name')!r} has the fields {sorted(group)}, or comes twice"
        names.add(group.get("name"))
        for alert in group["rules"]:
            yield from of_alert(alert)
            if alert.get("alert") in names:
                yield f"{alert.get('alert')} comes twice"
            names.add(alert.get("alert"))


def of_monitor(document, deployments):
    """Every Deployment's pods are scraped, at a port that they have."""
    spec = document["spec"]
    for deployment in deployments:
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        name = deployment["metadata"]["name"]
        chosen = spec["selector"].get("matchLabels", {}).items() <= labels.items() and all(
            rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
            for rule in spec["selector"].get("matchExpressions", [])
        )
        if not chosen:
            yield f"the pods of {name} are not scraped"
        ports = {port["name"] for container in containers(deployment) for port in container.get("ports", [])}
        for endpoint in spec["podMetricsEndpoints"]:
            if endpoint["port"] not in ports:
                yield f"{name} has no port {endpoint['port']!r}"


def of_document(document):
    if document["kind"] == "PrometheusRule":
        yield from of_rules(document)
        return
    if document["kind"] == "PodMonitor":
        return
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


# Each breaks one rule in good alerts: of all rules, and of the first alert.
ALERT_BREAKAGES = {
    "an alert that comes twice": lambda d, a: d["spec"]["groups"][0]["rules"].append(a),
    "an alert without an advice": lambda d, a: a["annotations"].pop("description"),
    "an alert that is told at once": lambda d, a: a.pop("for"),
    "an unknown severity": lambda d, a: a["labels"].update(severity="page"),
    "an expression that is cut off": lambda d, a: a.update(expr=a["expr"].rstrip()[:-1] + "{"),
    "a misspelt field": lambda d, a: a.update(annotation=a.pop("annotations")),
}

# Each leaves pods out.
MONITOR_BREAKAGES = {
    "a role that is not scraped": lambda d: d["spec"]["selector"]["matchExpressions"][0]["values"].pop(),
    "a port that is not there": lambda d: d["spec"]["podMetricsEndpoints"][0].update(port="metrics"),
}


def unnoticed(deployments, rules, monitor):
    for name, breakage in BREAKAGES.items():
        broken = copy.deepcopy(deployments[-1])
        breakage(broken, containers(broken)[0])
        if not list(of_document(broken)):
            yield f"check.py does not notice {name}"
    for name, breakage in ALERT_BREAKAGES.items():
        broken = copy.deepcopy(rules)
        breakage(broken, broken["spec"]["groups"][0]["rules"][0])
        if not list(of_document(broken)):
            yield f"check.py does not notice {name}"
    for name, breakage in MONITOR_BREAKAGES.items():
        broken = copy.deepcopy(monitor)
        breakage(broken)
        if not list(of_monitor(broken, deployments)):
            yield f"check.py does not notice {name}"


def main(deploy, rendered):
    problems = []
    by_kind = {}
    count = 0
    for file in sorted(rendered.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            count += 1
            name = f"{file.stem}: {document['kind']} {document['metadata']['name']}"
            problems += [f"{name}: {problem}" for problem in of_document(document)]
            by_kind.setdefault(document["kind"], []).append(document)
    for file in sorted(path for path in deploy.rglob("*") if path.is_file() and "test" not in path.parts):
        if SECRET.search(file.read_text()):
            problems.append(f"{file} holds something like a secret")
    missing = {"Deployment", "PrometheusRule", "PodMonitor"} - by_kind.keys()
    problems += [f"no {kind} was rendered" for kind in sorted(missing)]
    if not missing:
        deployments, monitor = by_kind["Deployment"], by_kind["PodMonitor"][0]
        problems += of_monitor(monitor, deployments)
        if not problems:
            problems += unnoticed(deployments, by_kind["PrometheusRule"][0], monitor)
    for problem in problems:
        print(problem, file=sys.stderr)
    tried = len(BREAKAGES) + len(ALERT_BREAKAGES) + len(MONITOR_BREAKAGES)
    print(f"{count} objects, {len(problems)} problems, {tried} breakages tried")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
