"""Two processes with an image topic between them, best effort: a camera of 640x480 at 30 Hz, and a viewer that counts."""

import json
import subprocess
import sys

RATE_HZ = 30

_CAMERA = """
import sys, time, numpy as np, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
frames, rate_hz = int(sys.argv[1]), float(sys.argv[2])
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "image_raw", QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT))
while publisher.get_subscription_count() == 0:
    time.sleep(0.05)
time.sleep(1.0)  # the other side must have found this one, too
image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
start = time.monotonic()
for i in range(frames):
    msg = Image(height=480, width=640, encoding="rgb8", step=3 * 640)
    msg.header.frame_id = " ".join(map(str, (i, time.monotonic_ns())))
    msg.data.frombytes(image.reshape(-1))
    publisher.publish(msg)
    time.sleep(max(0.0, start + (i + 1) / rate_hz - time.monotonic()))
time.sleep(1.0)
rclpy.shutdown()
"""

_VIEWER = """
import json, os, sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
frames = int(sys.argv[1])
rclpy.init()
node = rclpy.create_node("viewer")
got, latency_ms = [], []
def on_image(msg):
    assert len(msg.data) == 640 * 480 * 3
    number, sent_ns = map(int, msg.header.frame_id.split())
    got.append(number)
    latency_ms.append((time.monotonic_ns() - sent_ns) * 1e-6)
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
node.create_subscription(Image, "image_raw", on_image, qos)
last = time.monotonic() + 20
while time.monotonic() < last and frames - 1 not in got:
    before = len(got)
    rclpy.spin_once(node, timeout_sec=0.5)
    if len(got) > before:
        last = time.monotonic() + 5
mapped = {word for word in open("/proc/self/maps").read().split() if word.startswith("/dev/shm/fastrtps_")}
print(json.dumps([got, latency_ms, {path: os.stat(path).st_size for path in mapped}]))
rclpy.shutdown()
"""


def watch(frames, env):
    """So many images from one process to the other.

    Returns:
        The numbers of those that came, in the order they came; how long each took, from before publish to the callback, ms;
        and the segments of shared memory that the viewer had mapped at the end, bytes by path.
    """
    viewer = subprocess.Popen([sys.executable, "-c", _VIEWER, str(frames)], env=env, stdout=subprocess.PIPE, text=True)
    camera = subprocess.Popen([sys.executable, "-c", _CAMERA, str(frames), str(RATE_HZ)], env=env)
    try:
        out, _ = viewer.communicate(timeout=60)
    finally:
        for process in (viewer, camera):
            process.kill()
            process.wait()
    got, latency_ms, sizes = json.loads(out)
    assert got == sorted(set(got))
    return got, latency_ms, sizes
