"""The client's side of the simulated Kafka: aiokafka itself, on connections that end in a `SimBroker`.

Nothing of aiokafka is imitated: its consumer, producer, admin client, group coordinator, transaction manager, sender
and metadata run as installed, so its silent retries, its fatal states and its races are part of every schedule. What is
replaced is what lies below: the socket (`wire`), the bytes of requests (`answers`) and of record batches (`batches`).
"""
