"""template.yaml keeps every rule, and each rule notices a template that breaks it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from samtranslator.translator.transform import transform

import template as cloudformation
from stack import REPO
from tests import template_rules as rules

TEMPLATE = cloudformation.load(REPO / "template.yaml")
PAGE = REPO / "docs" / "configuration.md"


def properties(template: dict, name: str) -> dict:
    return template["Resources"][name]["Properties"]


def without(template: dict, *names: str) -> None:
    for name in names:
        del template["Resources"][name]


def add_wildcard(template: dict) -> None:
    properties(template, "ApiRole")["Policies"][0]["PolicyDocument"]["Statement"][1]["Resource"] = "*"


def grant_too_much(template: dict) -> None:
    statement = {"Sid": "X", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Ref": "EventsDlq"}}
    properties(template, "ApiRole")["Policies"][0]["PolicyDocument"]["Statement"].append(statement)


def source(template: dict) -> dict:
    return properties(template, "EventWorkerFunction")["Events"]["Events"]["Properties"]


def stream(template: dict) -> dict:
    return properties(template, "DocumentEventsFunction")["Events"]["Documents"]["Properties"]


def http_event(template: dict) -> None:
    properties(template, "ApiFunction")["Events"] = {"Any": {"Type": "HttpApi"}}


# Each rule, and a change that must make it speak.
BROKEN = {
    rules.visibility_covers_the_timeout: lambda t: properties(t, "EventsQueue").update(VisibilityTimeout=179),
    rules.large_batches_have_a_window: lambda t: source(t).update(BatchSize=11),
    rules.batches_fail_in_part: lambda t: source(t).pop("FunctionResponseTypes"),
    rules.streams_lose_nothing: lambda t: stream(t).pop("DestinationConfig"),
    rules.lease_lies_between_timeout_and_visibility: lambda t: t["Parameters"]["LeaseSeconds"].update(Default=30),
    rules.api_is_explicit: http_event,
    rules.http_functions_are_reachable: lambda t: without(t, "ApiPermission"),
    rules.permissions_are_exact: add_wildcard,
    rules.permissions_match_the_environment: grant_too_much,
    rules.queues_lose_nothing: lambda t: properties(t, "EventsQueue").pop("RedrivePolicy"),
    rules.queues_have_alarms: lambda t: without(t, "EventsDlqAlarm"),
    rules.functions_log_for_a_limited_time: lambda t: properties(t, "ApiLogGroup").pop("RetentionInDays"),
    rules.data_survive_the_stack: lambda t: t["Resources"]["LogsTable"].pop("DeletionPolicy"),
}


class TemplateRules(unittest.TestCase):
    def test_the_template_keeps_every_rule(self):
        for rule in BROKEN:
            with self.subTest(rule.__name__):
                self.assertEqual(list(rule(TEMPLATE)), [])

    def test_every_rule_notices_a_breach(self):
        for rule, damage in BROKEN.items():
            with self.subTest(rule.__name__):
                broken = copy.deepcopy(TEMPLATE)
                damage(broken)
                self.assertNotEqual(list(rule(broken)), [])

    def test_a_function_without_a_route_is_noticed(self):
        broken = copy.deepcopy(TEMPLATE)
        without(broken, "WebhookRoute", "WebhookEventRoute")
        self.assertEqual(
            list(rules.http_functions_are_reachable(broken)),
            ["WebhookIngestFunction: no route leads to WebhookIngestIntegration"],
        )

    def test_a_policy_of_its_own_is_looked_at_too(self):
        broken = copy.deepcopy(TEMPLATE)
        (statement,) = properties(broken, "ErpnextCredentialsPolicy")["PolicyDocument"]["Statement"]
        statement.update(Action="secretsmanager:*", Resource={"Ref": "WebhookSecrets"})
        noticed = [*rules.permissions_are_exact(broken), *rules.permissions_match_the_environment(broken)]
        self.assertEqual(
            noticed,
            [
                "ErpnextCredentialsPolicy: statement ReadErpnextCredentials has a wildcard",
                "ApiFunction may use WebhookSecrets, which it does not know",
                "ApiFunction is given ErpnextCredentials, which it may not use",
                "EventWorkerFunction may use WebhookSecrets, which it does not know",
                "EventWorkerFunction is given ErpnextCredentials, which it may not use",
                "BulkWorkerFunction may use WebhookSecrets, which it does not know",
                "BulkWorkerFunction is given ErpnextCredentials, which it may not use",
            ],
        )

    def test_cargo_lambda_watch_has_the_same_routes(self):
        command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
        metadata = json.loads(subprocess.run(command, cwd=REPO, check=True, capture_output=True).stdout)["metadata"]
        self.assertEqual(metadata["lambda"]["watch"]["router"], rules.routes(TEMPLATE))

    def test_the_gateway_has_the_routes_of_the_openapi_document(self):
        document = json.loads((REPO / "docs" / "openapi.json").read_text(encoding="utf-8"))
        missing = [word for word in rules.operations_are_reachable(TEMPLATE, document) if "get through" in word]
        self.assertEqual(missing, [])

    def test_an_operation_out_of_reach_and_a_route_to_nowhere_are_noticed(self):
        document = {"paths": {"/v3": {"get": {}}, "/v2/x": {"get": {}}}}
        noticed = list(rules.operations_are_reachable(TEMPLATE, document))
        self.assertIn("GET /v3 does not get through the gateway", noticed)
        self.assertIn("ANY /health leads to no operation", noticed)

    def test_every_setting_is_documented(self):
        self.assertEqual(list(rules.settings_are_documented(TEMPLATE, PAGE)), [])

    def test_an_undocumented_setting_is_noticed(self):
        with tempfile.TemporaryDirectory() as directory:
            page = Path(directory) / "page.md"
            page.write_text(PAGE.read_text(encoding="utf-8").replace("| `LOG_LEVEL`", "| `LOG_LEVELS`"))
            self.assertEqual(len(list(rules.settings_are_documented(TEMPLATE, page))), 2)


class SamTranslation(unittest.TestCase):
    """SAM's own translator accepts the template and adds no role or policy of its own."""

    def test_no_role_is_added(self):
        local = copy.deepcopy(TEMPLATE)
        for function in cloudformation.resources(local, "AWS::Serverless::Function").values():
            function["Properties"]["CodeUri"] = "s3://bucket/key"
        with mock.patch.dict(os.environ, AWS_DEFAULT_REGION="us-east-1"):
            translated = transform(local, {}, SimpleNamespace(load=dict))
        self.assertEqual(
            set(cloudformation.resources(translated, "AWS::IAM::Role")),
            set(cloudformation.resources(TEMPLATE, "AWS::IAM::Role")),
        )


if __name__ == "__main__":
    unittest.main()
