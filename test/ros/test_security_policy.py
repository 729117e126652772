"""The SROS2 policies are those of the nodes as they are; a secured launch without security starts nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spatia_ros.nodes.environment import ros_environment
from spatia_ros.nodes.tools.security_policy import interfaces, policies

POLICIES = Path(__file__).resolve().parents[2] / "config" / "sros2" / "policies.xml"
NODE = "import rclpy; rclpy.init(); rclpy.create_node('world'); print('started')"


@pytest.fixture(scope="module")
def found():
    return interfaces()


def names(root, enclave, kind, verb):
    """What an enclave may do."""
    lists = root.findall(f"enclaves/enclave[@path='/spatia/{enclave}']/profiles/profile/{kind}[@{verb}='ALLOW']")
    return {each.text for one in lists for each in one}


def test_the_file_is_what_the_nodes_open(found):
    write = f"python -m spatia_ros.nodes.tools.security_policy --write {POLICIES}"
    assert POLICIES.read_text() == policies(found), f"write it again: {write}"


def test_every_node_may_do_what_it_does_and_nothing_else(found):
    root = ElementTree.fromstring(policies(found))
    for name, own in found.items():
        assert names(root, name, "topics", "publish") == own.publish
        assert names(root, name, "topics", "subscribe") == own.subscribe | {"/clock", "/parameter_events"}
        assert names(root, name, "services", "reply") == own.reply
        assert names(root, name, "actions", "execute") == own.execute
    assert not names(root, "world", "services", "request")


def test_what_people_may_do(found):
    root = ElementTree.fromstring(policies(found))
    assert {"/cmd_pose", "/cmd_vel", "/cmd_trajectory", "/initialpose"} <= names(root, "operator", "topics", "publish")
    for who in ("operator", "viewer"):
        assert not names(root, who, "topics", "publish") & {"/tf", "/clock", "/odom", "/color/image_raw"}, (
            "time and place are not theirs"
        )
        assert "/camera/color/image_raw" in names(root, who, "topics", "subscribe")
    assert names(root, "viewer", "topics", "publish") == {"/rosout", "/parameter_events"}
    assert not names(root, "viewer", "services", "request")
    assert not names(root, "viewer", "actions", "call")
    assert "/memory/save" in names(root, "operator", "services", "request")
    kept = names(root, "admin", "services", "request") - names(root, "operator", "services", "request")
    assert kept == {
        f"/{node}/{name}" for node in found for name in ("change_state", "set_parameters", "set_parameters_atomically")
    }
    assert "/color/image_raw" in names(root, "sensor", "topics", "publish")


def test_it_has_the_shape_of_a_policy():
    """As sros2 reads it (policy.xsd): enclaves, profiles of a namespace and a node, lists of one verb each."""
    root = ElementTree.parse(POLICIES).getroot()
    assert (root.tag, root.get("version"), [each.tag for each in root]) == ("policy", "0.2.0", ["enclaves"])
    verbs = {"topics": {"publish", "subscribe"}, "services": {"reply", "request"}, "actions": {"execute", "call"}}
    for enclave in root[0]:
        assert (enclave.tag, [each.tag for each in enclave]) == ("enclave", ["profiles"])
        assert enclave.get("path", "").startswith("/spatia/")
        for profile in enclave[0]:
            assert (profile.tag, set(profile.attrib)) == ("profile", {"ns", "node"})
            for rules in profile:
                assert len(rules.attrib) == 1
                assert set(rules.attrib) <= verbs[rules.tag]
                assert set(rules.attrib.values()) == {"ALLOW"}
                assert all(each.tag == rules.tag[:-1] and each.text.startswith("/") for each in rules)


def secured(keystore: Path, strategy: str) -> subprocess.CompletedProcess:
    """A node that is told to be secure."""
    told = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": strategy, "ROS_SECURITY_KEYSTORE": str(keystore)}
    env = {**ros_environment(os.environ), **told}
    return subprocess.run([sys.executable, "-c", NODE], env=env, capture_output=True, text=True, timeout=120, check=False)


def test_without_its_keys_a_secured_node_does_not_start(tmp_path):
    done = secured(tmp_path, "Enforce")
    assert done.returncode != 0
    assert "started" not in done.stdout
    assert "SECURITY ERROR" in done.stderr


def test_a_middleware_without_security_refuses_rather_than_talk_in_the_open(tmp_path):
    """The Fast DDS of the ROS wheels is built without; one that has it refuses these empty keys."""
    enclave = tmp_path / "enclaves"
    enclave.mkdir()
    for name in ("identity_ca.cert.pem", "cert.pem", "key.pem", "permissions_ca.cert.pem", "governance.p7s", "permissions.p7s"):
        (enclave / name).touch()
    done = secured(tmp_path, "Enforce")
    assert done.returncode != 0
    assert "started" not in done.stdout
