"""simulation_interfaces served: states and steps, worlds, entities."""
