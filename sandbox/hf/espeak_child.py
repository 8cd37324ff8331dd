"""A program, never imported: speaks the text on its standard input with libespeak-ng, and leaves.

`python -I -S espeak_child.py LIBRARY VOICE WORDS_A_MINUTE`, in the folder that has `espeak-ng-data`. Its output is one
line with the samples a second, then the samples: 16 bits, signed, little endian, one channel. eSpeak NG is GPL-3.0: it
is loaded in this process and in no other, and what passes between the two is text and samples.
"""

import ctypes
import sys

SYNCHRONOUS = 2
"""`AUDIO_OUTPUT_SYNCHRONOUS` of speak_lib.h: samples come to the callback before `espeak_Synth` returns."""
DONT_EXIT = 0x8000
UTF8 = 1
RATE = 1
"""`espeakRATE`: the parameter of how fast it speaks."""

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main(library: str, voice: str, words_a_minute: str) -> int:
    """Speak; 0 if samples were written."""
    espeak = ctypes.CDLL(library)
    # The folder is named relative to where we are: eSpeak NG cuts longer paths off at 160 characters.
    rate = espeak.espeak_Initialize(SYNCHRONOUS, 0, b".", DONT_EXIT)
    if rate <= 0 or espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        return 2
    espeak.espeak_SetParameter(RATE, int(words_a_minute), 0)
    parts: list[bytes] = []

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, count * 2))
        return 0

    callback = CALLBACK(take)
    espeak.espeak_SetSynthCallback(callback)
    text = sys.stdin.buffer.read()
    espeak.espeak_Synth(text + b"\0", ctypes.c_size_t(len(text) + 1), 0, 0, 0, UTF8, None, None)
    espeak.espeak_Synchronize()
    sys.stdout.buffer.write(b"%d\n" % rate + b"".join(parts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
