"""Deploys template.yaml to a local stack by CloudFormation, as `sam deploy` would, in a second or two.

Each function's binary is zipped as `bootstrap` and stored under its hash; a deployment whose template, binaries
and parameters are those of the last one does nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import time
import zipfile
from pathlib import Path

from botocore.exceptions import ClientError

import template as cloudformation
from aws import client
from console import Failure
from stack import REPO, Stack

STACK_NAME = "causeway"
BUCKET = "causeway-packages"
DIGEST_TAG = "causeway-digest"
PRIVATE_NETWORKS = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
DEPLOY_SECONDS = 120
GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def deploy(stack: Stack, bin_dir: Path, parameters: dict[str, str]) -> bool:
    """Makes `stack` what the template says, with the binaries in `bin_dir`. False where it was so already."""
    template = cloudformation.load(REPO / "template.yaml")
    parameters = {**local_parameters(stack, template), **parameters}
    refuse_unknown(parameters, template)
    packages = place_packages(template, bin_dir)
    template = with_numbers(template, parameters)
    digest = hashlib.sha256(json.dumps([template, parameters], sort_keys=True).encode()).hexdigest()
    if deployed_digest(stack) == digest:
        return False
    upload(stack, packages)
    apply(stack, template, parameters, digest)
    enable_expiry(stack, template)
    return True


def local_parameters(stack: Stack, template: dict) -> dict[str, str]:
    """What differs from the template's defaults on every developer's machine."""
    api_id = template["Resources"]["HttpApi"]["Properties"]["Tags"]["ms-custom-id"]
    return {
        "Architecture": host_architecture(),
        "LimitFailedAuthentication": "false",  # every caller has the address 127.0.0.1
        "OutboundExceptions": PRIVATE_NETWORKS,  # what one tries things with runs here, or in a container
        "ProtectData": "false",
        "PublicUrl": api_url(stack, api_id),
    }


def api_url(stack: Stack, api_id: str) -> str:
    """Where ministack serves an HTTP API. The stage is `$default`; escaped, it means the same to every shell."""
    return f"{stack.endpoint}/_aws/execute-api/{api_id}/%24default"


def host_architecture() -> str:
    """This machine's processor, as Lambda calls it."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


def refuse_unknown(parameters: dict[str, str], template: dict) -> None:
    """A misspelt parameter would be silently without effect."""
    unknown = sorted(set(parameters) - set(template["Parameters"]))
    if unknown:
        raise Failure(f"template.yaml has no parameter {', '.join(unknown)}.")


def with_numbers(template: dict, parameters: dict[str, str]) -> dict:
    """The template with each `!Ref` to a number replaced by that number.

    CloudFormation passes parameters as text and the real services convert them; ministack does not, and its queue
    poller fails at a concurrency that is text. Environment variables are text in any case.
    """
    numbers = {
        name: int(parameters.get(name, declared.get("Default")))
        for name, declared in template["Parameters"].items()
        if declared["Type"] == "Number"
    }

    def replaced(node):
        if isinstance(node, list):
            return [replaced(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Ref"} and node["Ref"] in numbers:
            return numbers[node["Ref"]]
        return {key: value if key == "Environment" else replaced(value) for key, value in node.items()}

    return {**template, "Resources": replaced(template["Resources"])}


def place_packages(template: dict, bin_dir: Path) -> dict[str, Path]:
    """Points each function's CodeUri at its package; returns the binary behind each package's key."""
    packages = {}
    for function in cloudformation.resources(template, "AWS::Serverless::Function").values():
        binary = bin_dir / cloudformation.binary_of(function)
        if not binary.is_file():
            raise Failure(f"{binary} is missing: build it first (cargo build --workspace).")
        key = f"{hashlib.sha256(binary.read_bytes()).hexdigest()}.zip"
        packages[key] = binary
        function["Properties"]["CodeUri"] = {"Bucket": BUCKET, "Key": key}
    return packages


def upload(stack: Stack, packages: dict[str, Path]) -> None:
    """Uploads the packages that the bucket does not hold."""
    s3 = client(stack, "s3")
    s3.create_bucket(Bucket=BUCKET)
    present = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}
    for key, binary in packages.items():
        if key not in present:
            s3.put_object(Bucket=BUCKET, Key=key, Body=zipped(binary))


def zipped(binary: Path) -> bytes:
    """A Lambda package: the binary, executable, under the name that `provided` runtimes start."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, binary.read_bytes())
    return buffer.getvalue()


def apply(stack: Stack, template: dict, parameters: dict[str, str], digest: str) -> None:
    """Creates or updates the CloudFormation stack and waits for it."""
    cfn = client(stack, "cloudformation")
    description = describe(stack)
    if description and description["StackStatus"] not in (*GOOD, "UPDATE_ROLLBACK_COMPLETE"):
        cfn.delete_stack(StackName=STACK_NAME)  # an attempt that failed: it cannot be updated
        wait(stack)
        description = None
    change = cfn.update_stack if description else cfn.create_stack
    try:
        change(
            StackName=STACK_NAME,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": DIGEST_TAG, "Value": digest}],
        )
    except ClientError as error:
        reason = error.response["Error"]["Message"]
        if "No updates are to be performed" in reason:
            return  # a failed update was rolled back to what is wanted now
        raise Failure(f"The template was refused: {reason}") from error
    status = wait(stack)
    if status not in GOOD:
        raise Failure(f"The deployment ended as {status}: {reason_of_failure(stack)}")


def enable_expiry(stack: Stack, template: dict) -> None:
    """Turns on the tables' expiry, which ministack's CloudFormation leaves off."""
    dynamodb = client(stack, "dynamodb")
    for logical_id, table in cloudformation.resources(template, "AWS::DynamoDB::Table").items():
        dynamodb.update_time_to_live(
            TableName=resource_id(stack, logical_id),
            TimeToLiveSpecification=table["Properties"]["TimeToLiveSpecification"],
        )


def describe(stack: Stack) -> dict | None:
    """The CloudFormation stack, or None where there is none."""
    try:
        return client(stack, "cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def deployed_digest(stack: Stack) -> str | None:
    """What the last successful deployment was made of."""
    description = describe(stack)
    if description is None or description["StackStatus"] not in GOOD:
        return None
    return next((tag["Value"] for tag in description.get("Tags", []) if tag["Key"] == DIGEST_TAG), None)


def wait(stack: Stack) -> str | None:
    """Waits until CloudFormation is done and returns the status it ended with, None for a deleted stack."""
    deadline = time.monotonic() + DEPLOY_SECONDS
    while True:
        description = describe(stack)
        status = description and description["StackStatus"]
        if status is None or not status.endswith("_IN_PROGRESS"):
            return status
        if time.monotonic() > deadline:
            raise Failure(f"The deployment is still {status} after {DEPLOY_SECONDS} s; see {stack.log}.")
        time.sleep(0.05)


def reason_of_failure(stack: Stack) -> str:
    """The first resource that failed, and why; the others failed because of it."""
    events = client(stack, "cloudformation").describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    if not failed:
        return f"no resource says why; see {stack.log}."
    first = min(failed, key=lambda event: event["Timestamp"])
    return f"{first['LogicalResourceId']} ({first['ResourceType']}): {first.get('ResourceStatusReason', 'no reason')}"


def outputs(stack: Stack) -> dict[str, str]:
    """The outputs of the deployed template."""
    description = describe(stack)
    if description is None:
        raise Failure("Nothing is deployed; run make up.")
    return {item["OutputKey"]: item["OutputValue"] for item in description["Outputs"]}


def resource_id(stack: Stack, logical_id: str) -> str:
    """The physical id of a resource of the deployed template."""
    answer = client(stack, "cloudformation").describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=logical_id)
    return answer["StackResourceDetail"]["PhysicalResourceId"]
