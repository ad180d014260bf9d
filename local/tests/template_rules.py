"""What must hold of template.yaml and no linter sees: each rule gives one sentence for each breach.

Most of these deploy without a word, here or on AWS, and fail later: an API without routes, a function without
permission, a message handled twice because it became visible too early.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

from template import binary_of, resources

FUNCTION = "AWS::Serverless::Function"
QUEUE = "AWS::SQS::Queue"
HTTP_METHODS = ("get", "put", "post", "delete", "patch")
API_MAXIMUM_SECONDS = 29  # an HTTP API gives up at 30


def value(template: dict, node: Any) -> Any:
    """A parameter's default where `node` refers to one, else `node`."""
    if isinstance(node, dict) and node.get("Ref") in template.get("Parameters", {}):
        return template["Parameters"][node["Ref"]]["Default"]
    return node


def logical_ids(node: Any) -> set[str]:
    """Every logical id that `node` refers to, by Ref, GetAtt or Sub."""
    found: set[str] = set()
    if isinstance(node, list):
        return found.union(*(logical_ids(item) for item in node)) if node else found
    if not isinstance(node, dict):
        return found
    for key, inner in node.items():
        if key == "Ref":
            found.add(inner)
        elif key == "Fn::GetAtt":
            found.add(inner[0])
        elif key == "Fn::Sub" and isinstance(inner, str):
            found.update(part.split("}")[0].split(".")[0] for part in inner.split("${")[1:])
        else:
            found |= logical_ids(inner)
    return found


def queue_sources(template: dict) -> Iterator[tuple[str, dict, dict, dict]]:
    """Each function with a queue behind it: its name, its properties, the source's and the queue's."""
    queues = resources(template, QUEUE)
    for name, function in resources(template, FUNCTION).items():
        for source in function["Properties"].get("Events", {}).values():
            if source["Type"] == "SQS":
                (queue,) = logical_ids(source["Properties"]["Queue"])
                yield name, function["Properties"], source["Properties"], queues[queue]["Properties"]


def stream_sources(template: dict) -> Iterator[tuple[str, dict]]:
    """Each function with a stream behind it: its name and the source's properties."""
    for name, function in resources(template, FUNCTION).items():
        for source in function["Properties"].get("Events", {}).values():
            if source["Type"] == "DynamoDB":
                yield name, source["Properties"]


def streams_lose_nothing(template: dict) -> Iterator[str]:
    """A change that cannot be followed is cut out of its batch, brought again, and at last given up to a queue."""
    for name, source in stream_sources(template):
        if source.get("StartingPosition") != "TRIM_HORIZON":
            yield f"{name}: what changed before it was deployed is lost"
        if not source.get("BisectBatchOnFunctionError"):
            yield f"{name}: a change that kills the process takes its batch with it"
        if "MaximumRetryAttempts" in source or "MaximumRecordAgeInSeconds" not in source:
            yield f"{name}: changes are given up by count, or never, and not by age"
        destination = source.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if not logical_ids(destination) & dead_letter_queues(template):
            yield f"{name}: what is given up goes to no dead-letter queue"


def visibility_covers_the_timeout(template: dict) -> Iterator[str]:
    """AWS asks for six times the function's timeout; less, and slow messages are handled twice."""
    for name, function, _, queue in queue_sources(template):
        visibility, timeout = value(template, queue["VisibilityTimeout"]), value(template, function["Timeout"])
        if visibility < 6 * timeout:
            yield f"{name}: visibility {visibility} s is below 6 x its timeout of {timeout} s"


def large_batches_have_a_window(template: dict) -> Iterator[str]:
    """AWS refuses a batch above 10 without a batching window; the local stack does not."""
    for name, _, source, _ in queue_sources(template):
        if source.get("BatchSize", 10) > 10 and not source.get("MaximumBatchingWindowInSeconds"):
            yield f"{name}: a batch of {source['BatchSize']} needs a batching window"


def batches_fail_in_part(template: dict) -> Iterator[str]:
    """Without it, one bad message sends the whole batch round again."""
    sources = [(name, source) for name, _, source, _ in queue_sources(template)]
    for name, source in [*sources, *stream_sources(template)]:
        if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name}: a source does not report failures item by item"


def lease_lies_between_timeout_and_visibility(template: dict) -> Iterator[str]:
    """Shorter, a worker loses an event it still handles; longer, the next finds it still owned."""
    times = ("EventWorkerTimeoutSeconds", "LeaseSeconds", "EventsVisibilitySeconds")
    timeout, lease, visibility = (template["Parameters"][name]["Default"] for name in times)
    if not timeout < lease < visibility:
        yield f"lease {lease} s is not between timeout {timeout} s and visibility {visibility} s"


def api_is_explicit(template: dict) -> Iterator[str]:
    """HttpApi resources and events, and quick-create, deploy locally without routes and without an error."""
    for name in resources(template, "AWS::Serverless::HttpApi"):
        yield f"{name} is a Serverless::HttpApi"
    for name, function in resources(template, FUNCTION).items():
        for event, source in function["Properties"].get("Events", {}).items():
            if source["Type"] in ("HttpApi", "Api"):
                yield f"{name}: event {event} is of type {source['Type']}"
    for name, api in resources(template, "AWS::ApiGatewayV2::Api").items():
        if "Target" in api["Properties"]:
            yield f"{name} uses quick-create"


def http_functions(template: dict) -> dict[str, str]:
    """The function behind each integration."""
    return {
        name: next(iter(logical_ids(integration["Properties"]["IntegrationUri"])))
        for name, integration in resources(template, "AWS::ApiGatewayV2::Integration").items()
    }


def http_functions_are_reachable(template: dict) -> Iterator[str]:
    """Each function behind the API has a route, a permission, and less time than the API gives it."""
    routed: set[str] = set()
    for route in resources(template, "AWS::ApiGatewayV2::Route").values():
        routed |= logical_ids(route["Properties"]["Target"])
    permitted: set[str] = set()
    for permission in resources(template, "AWS::Lambda::Permission").values():
        permitted |= logical_ids(permission["Properties"]["FunctionName"])
    for integration, function in http_functions(template).items():
        if integration not in routed:
            yield f"{function}: no route leads to {integration}"
        if function not in permitted:
            yield f"{function}: the API may not invoke it"
        if value(template, template["Resources"][function]["Properties"]["Timeout"]) > API_MAXIMUM_SECONDS:
            yield f"{function}: its timeout is longer than the API waits"


def routes(template: dict) -> dict[str, str]:
    """The binary behind each path, written as `cargo lambda watch` writes paths."""
    functions = http_functions(template)
    found = {}
    for route in resources(template, "AWS::ApiGatewayV2::Route").values():
        _, path = route["Properties"]["RouteKey"].split(" ", 1)
        (integration,) = logical_ids(route["Properties"]["Target"])
        found[path.replace("{proxy+}", "{*proxy}")] = binary_of(template["Resources"][functions[integration]])
    return found


def operations_are_reachable(template: dict, document: dict) -> Iterator[str]:
    """The gateway passes on every operation of the OpenAPI document, and has no route for what is not in it."""
    keys = [route["Properties"]["RouteKey"] for route in resources(template, "AWS::ApiGatewayV2::Route").values()]
    unused = {key for key in keys if not key.startswith("POST /webhooks/")}
    for path, item in document["paths"].items():
        for method in (name.upper() for name in item if name in HTTP_METHODS):
            passing = [key for key in keys if passes(key, method, path)]
            unused.difference_update(passing)
            if not passing:
                yield f"{method} {path} does not get through the gateway"
    yield from (f"{key} leads to no operation" for key in sorted(unused))


def passes(route_key: str, method: str, path: str) -> bool:
    """Whether the gateway's route takes such requests."""
    verb, pattern = route_key.split(" ", 1)
    prefix, greedy, _ = pattern.partition("{proxy+}")
    return verb in ("ANY", method) and (path.startswith(prefix) if greedy else path == pattern)


def statements(template: dict, function: str) -> list[dict]:
    """All policy statements of the function's role: its own, and those of policies that name it."""
    (role,) = logical_ids(template["Resources"][function]["Properties"]["Role"])
    policies = list(template["Resources"][role]["Properties"]["Policies"])
    for policy in resources(template, "AWS::IAM::Policy").values():
        if role in logical_ids(policy["Properties"]["Roles"]):
            policies.append(policy["Properties"])
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def permissions_are_exact(template: dict) -> Iterator[str]:
    """No wildcard in any action or resource, no managed policy, every role written out."""
    for name, role in resources(template, "AWS::IAM::Role").items():
        if "ManagedPolicyArns" in role["Properties"]:
            yield f"{name} has a managed policy"
        for policy in role["Properties"]["Policies"]:
            yield from wildcards(name, policy)
    for name, policy in resources(template, "AWS::IAM::Policy").items():
        yield from wildcards(name, policy["Properties"])
    for name, function in resources(template, FUNCTION).items():
        if "Role" not in function["Properties"] or "Policies" in function["Properties"]:
            yield f"{name} does not have a role of its own"


def wildcards(name: str, policy: dict) -> Iterator[str]:
    for statement in policy["PolicyDocument"]["Statement"]:
        if "*" in json.dumps([statement["Resource"], statement["Action"]]):
            yield f"{name}: statement {statement['Sid']} has a wildcard"


def permissions_match_the_environment(template: dict) -> Iterator[str]:
    """A function may use what its environment names, its log and its event sources; nothing else."""
    for name, function in resources(template, FUNCTION).items():
        properties = function["Properties"]
        granted = logical_ids([statement["Resource"] for statement in statements(template, name)])
        named = logical_ids([properties["Environment"], properties["LoggingConfig"]])
        named -= set(template["Parameters"])
        events = [source["Properties"] for source in properties.get("Events", {}).values()]
        sources = logical_ids([[e.get("Queue"), e.get("Stream"), e.get("DestinationConfig")] for e in events])
        for resource in sorted(granted - named - sources):
            yield f"{name} may use {resource}, which it does not know"
        for resource in sorted((named | sources) - granted):
            yield f"{name} is given {resource}, which it may not use"


def queues_lose_nothing(template: dict) -> Iterator[str]:
    """Each queue keeps 14 days, and what cannot be handled goes to a dead-letter queue."""
    queues = resources(template, QUEUE)
    dead_letter = dead_letter_queues(template)
    for name, queue in queues.items():
        properties = queue["Properties"]
        if properties.get("MessageRetentionPeriod") != 1_209_600:
            yield f"{name} does not keep its messages for 14 days"
        if name not in dead_letter and "RedrivePolicy" not in properties:
            yield f"{name} has no dead-letter queue"


def dead_letter_queues(template: dict) -> set[str]:
    return logical_ids([q["Properties"].get("RedrivePolicy") for q in resources(template, QUEUE).values()])


def queues_have_alarms(template: dict) -> Iterator[str]:
    """A dead-letter queue that is not empty, and any other queue that does not move, raise an alarm."""
    watched: dict[str, set[str]] = {}
    for alarm in resources(template, "AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        for queue in logical_ids(properties["Dimensions"]):
            watched.setdefault(queue, set()).add(properties["MetricName"])
    dead_letter = dead_letter_queues(template)
    for name in resources(template, QUEUE):
        metric = "ApproximateNumberOfMessagesVisible" if name in dead_letter else "ApproximateAgeOfOldestMessage"
        if metric not in watched.get(name, set()):
            yield f"{name}: no alarm on {metric}"


def functions_log_for_a_limited_time(template: dict) -> Iterator[str]:
    """A log group that Lambda makes by itself is kept, and billed, for ever."""
    groups = resources(template, "AWS::Logs::LogGroup")
    for name, function in resources(template, FUNCTION).items():
        logging = logical_ids(function["Properties"].get("LoggingConfig"))
        if not any("RetentionInDays" in groups[group]["Properties"] for group in logging & set(groups)):
            yield f"{name}: no log group with a retention"


def data_survive_the_stack(template: dict) -> Iterator[str]:
    """What holds data stays when the stack goes or a change would replace it.

    What is there under a condition is not data but a token that others can make anew: it goes with the condition.
    """
    for name, body in template["Resources"].items():
        if "Condition" in body:
            if body.get("DeletionPolicy", "Delete") != "Delete":
                yield f"{name} would stay, and cost, when its condition is gone"
        elif body["Type"] in ("AWS::DynamoDB::Table", QUEUE, "AWS::SecretsManager::Secret"):
            if body.get("DeletionPolicy") != "RetainExceptOnCreate" or body.get("UpdateReplacePolicy") != "Retain":
                yield f"{name} would be deleted with its data"


def settings_are_documented(template: dict, page: Path) -> Iterator[str]:
    """Each parameter and each environment variable has its row in the configuration page, and the reverse."""
    variables = {
        name
        for function in resources(template, FUNCTION).values()
        for name in function["Properties"]["Environment"]["Variables"]
    }
    settings = variables | set(template["Parameters"])
    rows = {line.split("`")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")}
    for name in sorted(settings - rows):
        yield f"{name} is not in {page.name}"
    for name in sorted(rows - settings):
        yield f"{page.name} describes {name}, which does not exist"
