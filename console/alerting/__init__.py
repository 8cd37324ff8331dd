"""Alerts: rules that are data, what they measure, and who is told."""
