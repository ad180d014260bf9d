"""How the local deployment differs from AWS's, and that it says what is wrong."""

from __future__ import annotations

import socket
import tempfile
import unittest
import zipfile
from io import BytesIO
from pathlib import Path

import deploy
import template as cloudformation
from console import Failure
from stack import REPO, Stack, running_port

TEMPLATE = cloudformation.load(REPO / "template.yaml")


def local_parameters() -> dict[str, str]:
    return deploy.local_parameters(Stack(Path("/nonexistent"), 4566), TEMPLATE)


class Numbers(unittest.TestCase):
    def test_references_to_numbers_become_numbers_except_in_an_environment(self):
        local = deploy.with_numbers(TEMPLATE, {"EventWorkerTimeoutSeconds": "2", "WorkerConcurrency": "7"})
        worker = local["Resources"]["EventWorkerFunction"]["Properties"]
        self.assertEqual(worker["Timeout"], 2)
        self.assertEqual(worker["Events"]["Events"]["Properties"]["ScalingConfig"], {"MaximumConcurrency": 7})
        self.assertEqual(worker["Environment"]["Variables"]["LEASE_SECONDS"], {"Ref": "LeaseSeconds"})
        self.assertEqual(local["Resources"]["EventsQueue"]["Properties"]["VisibilityTimeout"], 180)


class Parameters(unittest.TestCase):
    def test_what_differs_locally_is_a_parameter_of_the_template(self):
        deploy.refuse_unknown(local_parameters(), TEMPLATE)

    def test_one_address_of_all_callers_is_not_locked_out(self):
        self.assertEqual(local_parameters()["LimitFailedAuthentication"], "false")
        self.assertEqual(TEMPLATE["Parameters"]["LimitFailedAuthentication"]["Default"], "true")


class Packages(unittest.TestCase):
    def test_a_package_is_the_executable_under_the_name_that_lambda_starts(self):
        with tempfile.TemporaryDirectory() as directory:
            binary = Path(directory) / "api"
            binary.write_bytes(b"\x7fELF")
            archive = zipfile.ZipFile(BytesIO(deploy.zipped(binary)))
        self.assertEqual(archive.namelist(), ["bootstrap"])
        self.assertEqual(archive.getinfo("bootstrap").external_attr >> 16 & 0o777, 0o755)

    def test_every_function_names_a_crate_of_the_workspace(self):
        for name, function in cloudformation.resources(TEMPLATE, "AWS::Serverless::Function").items():
            with self.subTest(name):
                self.assertTrue((REPO / "functions" / cloudformation.binary_of(function) / "Cargo.toml").is_file())


class Mistakes(unittest.TestCase):
    def test_a_missing_binary_is_named(self):
        with self.assertRaisesRegex(Failure, "webhook-ingest is missing: build it first"):
            deploy.place_packages(cloudformation.load(REPO / "template.yaml"), Path("/nonexistent"))

    def test_an_unknown_parameter_is_named(self):
        with self.assertRaisesRegex(Failure, "no parameter LeaseSecond"):
            deploy.refuse_unknown({"LeaseSecond": "4"}, TEMPLATE)

    def test_a_port_in_use_is_refused(self):
        with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with self.assertRaisesRegex(Failure, f"Port {port} is taken by another program"):
                Stack(Path(directory), port).start()

    def test_a_pid_file_that_nobody_holds_is_no_stack(self):
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "ministack.pid").write_text('{"pid": 1, "port": 4566}')
            self.assertIsNone(running_port(Path(directory)))


if __name__ == "__main__":
    unittest.main()
