"""Dedicated Inference Endpoints: their controller, which carries out commands, watches, wakes and lets sleep."""
