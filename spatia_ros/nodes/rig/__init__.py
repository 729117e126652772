"""The rig over ROS: its frames, its cameras, and what each of them publishes."""
