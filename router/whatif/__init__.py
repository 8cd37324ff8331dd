"""What history would have cost otherwise: what if, tune, regret, savings, return on investment. Pure."""
