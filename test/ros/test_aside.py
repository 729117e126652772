"""Subscriptions that wait for no executor of the node."""

import threading

import pytest
import rclpy
from harness import wait
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import String

from spatia_ros.nodes import qos
from spatia_ros.nodes.aside import Aside
from spatia_ros.nodes.endpoints import Endpoints


@pytest.fixture
def node():
    context = Context()
    rclpy.init(context=context)
    node = Node("with_commands", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_messages_are_taken_though_nobody_spins_the_node(node, publisher):
    endpoints, taken = Endpoints(node), []
    aside = Aside(endpoints, "aside-of-test")
    aside.subscription(String, "/aside/said", lambda msg: taken.append((msg.data, threading.current_thread().name)), qos.COMMAND)
    aside.start()
    out = publisher(String, "/aside/said")
    wait(out.get_subscription_count, "the subscription")
    for count, word in enumerate(("one", "two"), 1):
        out.publish(String(data=word))
        wait(lambda count=count: len(taken) == count, "the message")
    assert taken == [("one", "aside-of-test"), ("two", "aside-of-test")]
    assert "aside-of-test" in threads()
    endpoints.close()
    assert "aside-of-test" not in threads()
    assert not list(node.subscriptions)


def test_the_nodes_executor_passes_them_over(graph, publisher):
    node, taken = Node("with_both", context=graph.context), []
    endpoints = Endpoints(node)
    aside = Aside(endpoints, "aside-of-both")
    aside.subscription(String, "/aside/both", lambda _: taken.append(threading.current_thread().name), qos.COMMAND)
    graph.add(node)
    out = publisher(String, "/aside/both")
    wait(out.get_subscription_count, "the subscription")
    out.publish(String(data="early"))
    aside.start()
    wait(lambda: taken, "the message that came before the thread")
    out.publish(String(data="late"))
    wait(lambda: len(taken) == 2, "the other message")
    assert taken == ["aside-of-both"] * 2
    endpoints.close()
    graph.remove(node)


def test_the_thread_ends_with_ros(node):
    aside = Aside(Endpoints(node), "aside-of-the-end")
    aside.subscription(String, "/aside/end", lambda _: None, qos.COMMAND)
    aside.start()
    rclpy.shutdown(context=node.context)
    wait(lambda: "aside-of-the-end" not in threads(), "the thread's end")
