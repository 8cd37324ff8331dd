"""The fault matrix as a whole: its rows, every test that bears one, run again and again, and the page of it.

`make faults N=3` or `make faults ROWS=1,2,16`. `rows.py` is the matrix, `child.py` one process of tests, `raw.py` the
file that their verdicts end in, `page.py` what people read of it, `__main__.py` the run.
"""
