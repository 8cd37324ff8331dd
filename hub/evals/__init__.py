"""How good a model is on labelled examples: sets, what is asked of it, what its answers are worth, and how sure one may
be. The jobs themselves go through Kafka like anybody's (`console/hub/runs.py`)."""
