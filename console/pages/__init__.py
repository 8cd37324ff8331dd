"""The pages: a live list of jobs, one job's story, a trace. Starlette, Jinja2, htmx; no build step, no inline code."""
