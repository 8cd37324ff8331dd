"""Money: what a home lane knows of its tenants' budgets, folded from decisions, ledger and accounts.

Everything here is a pure fold of events, but `Books.open`, which reads them. `docs/ledger.md` says what it promises.
"""
