"""The sandbox's Hugging Face: the real wire, genuine small models, its own bill, faults on demand.

A call's way, file by file: `gate` reads it, picks an injected fault and writes the call log; `doors` chooses the
model (`catalogue`), refuses as Hugging Face refuses (`wire`), takes file or JSON (`exchange`), and asks an engine
(`engines`: `llama`, `e5`, `whisper`, `espeak`, `rapidocr`, ...) through its one `seat`. `chat`, `generation`,
`embedding` and, listed in `pipelines`, `audio_tasks` and `image_tasks` map between the wire and the engines, `sound`
and `picture` between files and samples or pixels; `bill` charges for it. `weights` fetches what no package here has,
`hub` lists the models, `admin` shows bill and log and takes faults.
"""
