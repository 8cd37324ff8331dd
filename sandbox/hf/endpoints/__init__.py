"""The sandbox's Inference Endpoints: the management API v2, the machines behind it, and the doors to what they serve.

Shapes and rules are those of the public OpenAPI document (v2.0.0) and of Hugging Face's own client; times are told in
`machine.Times`, and pass on whatever clock is given.
"""
