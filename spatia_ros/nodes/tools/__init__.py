"""Programs beside the nodes, for hosts without the ``ros2`` command too."""
