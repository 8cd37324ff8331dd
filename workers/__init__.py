"""How a job is done: tasks and providers as pairs of pure maps, and one thin shell that calls."""
