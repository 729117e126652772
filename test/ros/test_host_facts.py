"""What spatia doctor asks ROS, asked of the ROS that is really here."""

import json
import os
import subprocess
import sys

from spatia_ros.nodes.tools.host_facts import IMAGES, MESSAGES


def test_this_host_is_fit_for_its_own_tests(tmp_path):
    command = [sys.executable, "-m", "spatia_ros.cli", "doctor", "--json", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    found = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert [f for f in found.values() if f["level"] == "fail"] == []
    assert done.returncode == 0
    assert found["packages"]["text"] == f"{len(MESSAGES)} of {len(MESSAGES)} load"
    assert found["spatia_ros"]["text"].endswith("those of the checkout")
    assert found["images"]["text"].split()[2] == str(IMAGES)
