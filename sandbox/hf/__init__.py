"""The sandbox's Hugging Face: the real wire, genuine small models, its own bill, faults on demand.

A call's way, file by file: `gate` reads it, picks an injected fault and writes the call log; `doors` chooses the
model (`catalogue`), refuses as Hugging Face refuses (`wire`), and asks an engine (`llama`, `e5`, `language`) through
its one `seat`; `chat`, `generation` and `embedding` map between the wire and the engines; `bill` charges for it.
`hub` lists the models, `admin` shows bill and log and takes faults.
"""
