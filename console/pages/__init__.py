"""The pages of the explorer, one module each. Starlette, Jinja2, htmx, uPlot; no build step, no inline code."""
