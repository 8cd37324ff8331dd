"""Money for operators: amounts, the join of decisions and ledger, statements, bills."""
