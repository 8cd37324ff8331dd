"""What is said on each topic: messages, their keys and units, and the tables that name topics, tasks and failures."""
