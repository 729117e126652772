"""Nodes of one name: ROS lets them be, and then both answer, both publish, and tools show one of the two."""

from __future__ import annotations

from rclpy.node import Node


class Namesakes:
    """Watches for other nodes of a node's full name.

    They are told, not refused: for some twenty seconds after a kill the graph still has the dead one, and a node that
    refused to start beside it could not come back.
    """

    def __init__(self, node: Node) -> None:
        self._node, self.others = node, 0

    def concern(self) -> str:
        """What is wrong, in words; empty when the name is this node's alone. The log says when it begins and ends."""
        node = self._node
        mine = (node.get_name(), node.get_namespace())
        others = max(sum(each == mine for each in node.get_node_names_and_namespaces()) - 1, 0)
        if others != self.others:
            self.others = others
            if others:
                node.get_logger().warning(self._words())
            else:
                node.get_logger().info(f"{node.get_fully_qualified_name()}: the only one of this name again")
        return self._words() if others else ""

    def _words(self) -> str:
        name = self._node.get_fully_qualified_name()
        return (
            f"{name}: {self.others} more of this name (or just killed): both take commands and publish; "
            "give each a namespace, --ros-args -r __ns:=/robot1"
        )
