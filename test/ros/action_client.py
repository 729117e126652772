"""Goals sent to an action of a node under test, and what came of them."""

from __future__ import annotations

from harness import wait
from rclpy.action import ActionClient


class Client(ActionClient):
    """A client that can be destroyed while an executor gathers what to wait for (see nodes.endpoints.Server)."""

    _gone = False

    def destroy(self):
        self._gone = True
        super().destroy()

    def add_to_wait_set(self, wait_set):
        if not self._gone:
            super().add_to_wait_set(wait_set)

    def is_ready(self, wait_set):
        return not self._gone and super().is_ready(wait_set)


class Goals:
    """A client of one action.

    Args:
        graph: see harness. kind, name: of the action.
    """

    def __init__(self, graph, kind, name):
        self._kind, self._client = kind, Client(graph.client, kind, name)
        wait(self._client.server_is_ready, f"the action {name}")

    def send(self, **goal):
        """Send a goal; its handle once it is accepted, and the feedback as it comes."""
        heard = []
        sent = self._client.send_goal_async(self._kind.Goal(**goal), lambda m: heard.append(m.feedback))
        wait(sent.done, "the goal to be taken")
        assert sent.result().accepted
        return sent.result(), heard

    def result(self, **goal):
        """Send a goal and wait for its result."""
        return outcome(self.send(**goal)[0])

    def close(self):
        """Take the client down."""
        self._client.destroy()


def outcome(handle):
    """The result of a goal."""
    future = handle.get_result_async()
    wait(future.done, "a result")
    return future.result().result


def cancel(handle):
    """Cancel a goal; returns once the server has taken note."""
    future = handle.cancel_goal_async()
    wait(future.done, "the cancelling")
