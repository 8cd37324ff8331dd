"""Whether a model's files may be trusted: the Hub's verdict, and Novix's own look into small pickles.

A pickle is a program: loading one runs what it names. Nothing here loads one. `pickles.py` reads its opcodes, in a
child process with bounds of its own (`scanner.py`); `verdict.py` says what that comes to.
"""
