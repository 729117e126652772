"""The ROS 2 face of the world: nodes that convert, call the core, convert and publish."""
