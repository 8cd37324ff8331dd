"""Files of every format that is read: what their headers say is what Pillow and PyAV find in them."""

import io
from dataclasses import replace

import av
import media_files
import pytest
from media_files import GOOD, Make
from PIL import Image

from workers.exchange import Media
from workers.media import MediaFault, MediaLimits, media_limits, probed
from workers.media import probed as probe

ALL = [pytest.param(kind, make, id=f"{kind}-{make.__name__}") for kind, makes in GOOD.items() for make in makes]
IMAGES, SOUNDS, VIDEOS = ([pytest.param(make, id=make.__name__) for make in GOOD[kind]] for kind in GOOD)


@pytest.mark.parametrize("make", IMAGES)
def test_an_image_has_the_type_and_size_that_pillow_finds(make: Make):
    data = make()
    with Image.open(io.BytesIO(data)) as image:
        expected = Image.MIME[image.format or ""], image.size

    media = probed(data, "image")

    assert (media.media_type, (media.width, media.height)) == expected
    assert (media.data, media.duration_ms, media.channels) == (data, None, None)


@pytest.mark.parametrize("make", SOUNDS)
def test_a_sound_is_as_long_and_has_the_channels_and_the_rate_that_ffmpeg_decodes(make: Make):
    data = make()
    with av.open(io.BytesIO(data)) as container:
        rate, channels = container.streams.audio[0].rate, container.streams.audio[0].channels

    media = probed(data, "audio")

    assert (media.sampling_rate, media.channels) == (rate, channels)
    assert media.duration_ms == pytest.approx(_decoded_ms(data), abs=60)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("size", [(1, 1), (63, 47), (800, 3)])
def test_no_colour_and_no_packing_hides_the_size_of_an_image(mode: str, size: tuple[int, int]):
    """Whatever Pillow writes of it in the formats that are read."""
    for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        for options in ({}, {"lossless": True}, {"progressive": True}, {"compression": "tiff_lzw"}):
            held = io.BytesIO()
            try:
                Image.new(mode, size).save(held, form, **options)
            except (OSError, ValueError):
                continue  # a format without such colours
            media = probed(held.getvalue(), "image")
            assert (media.media_type, media.width, media.height) == (Image.MIME[form], *size)


def _decoded_ms(data: bytes) -> float:
    """Encoders fill their last frame up, and decoders differ in what they leave out of it."""
    with av.open(io.BytesIO(data)) as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / container.streams.audio[0].rate * 1000


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("wav", "pcm_f32le", 44_100, 2), ("wav", "pcm_s24le", 48_000, 2), ("wav", "pcm_mulaw", 8_000, 1),
        ("wav", "adpcm_ms", 22_050, 1), ("aiff", "pcm_s24be", 44_100, 2), ("flac", "flac", 96_000, 2),
        ("mp2", "mp2", 44_100, 2), ("mp3", "libmp3lame", 8_000, 1), ("mp3", "libmp3lame", 22_050, 2),
        ("mp3", "libmp3lame", 48_000, 2), ("adts", "aac", 16_000, 1), ("adts", "aac", 96_000, 2),
        ("ogg", "libopus", 16_000, 1), ("webm", "vorbis", 44_100, 2), ("matroska", "flac", 44_100, 2),
        ("mp4", "libopus", 48_000, 2), ("mp4", "flac", 44_100, 2), ("ipod", "alac", 44_100, 2),
        ("mov", "pcm_s16le", 44_100, 2), ("3gp", "aac", 44_100, 1), ("avi", "pcm_s16le", 16_000, 1),
        ("amr", "libopencore_amrnb", 8_000, 1),
    ],
)  # fmt: skip
def test_no_codec_makes_a_sound_longer_or_shorter(container: str, codec: str, rate: int, channels: int):
    data = media_files.sound(container, codec, 3.3, rate, channels)

    media = probed(data, "audio")

    assert (media.sampling_rate, media.channels) == (48_000 if codec == "libopus" else rate, channels)
    assert media.duration_ms == pytest.approx(_decoded_ms(data), abs=60)


@pytest.mark.parametrize("make", VIDEOS)
def test_a_video_has_the_size_and_the_length_that_ffmpeg_finds(make: Make):
    data = make()
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        expected = stream.width, stream.height
        pictures = sum(1 for _ in container.decode(video=0))

    media = probed(data, "video")

    assert (media.width, media.height) == expected
    assert media.duration_ms == pytest.approx(pictures * 100, abs=60)


@pytest.mark.parametrize(
    ("make", "media_type"),
    [
        (media_files.wav, "audio/wav"), (media_files.aiff, "audio/aiff"), (media_files.flac, "audio/flac"),
        (media_files.mp3, "audio/mpeg"), (media_files.aac, "audio/aac"), (media_files.m4a, "audio/mp4"),
        (media_files.ogg, "audio/ogg"), (media_files.ogg_opus, "audio/ogg"), (media_files.webm_live, "audio/webm"),
        (media_files.mp4_with_sound, "video/mp4"),
    ],
)  # fmt: skip
def test_a_sound_is_named_by_its_container(make: Make, media_type: str):
    assert probed(make(), "audio").media_type == media_type


@pytest.mark.parametrize(
    ("make", "media_type"),
    [
        (media_files.mp4, "video/mp4"), (media_files.mov, "video/quicktime"), (media_files.webm, "video/webm"),
        (media_files.mkv, "video/x-matroska"), (media_files.avi, "video/x-msvideo"),
    ],
)  # fmt: skip
def test_a_video_is_named_by_its_container(make: Make, media_type: str):
    assert probed(make(), "video").media_type == media_type


@pytest.mark.parametrize("make", [media_files.wav, media_files.flac, media_files.mp3, media_files.ogg_opus])
@pytest.mark.parametrize("seconds", [0.5, 7.0])
def test_the_length_that_is_paid_for_is_that_of_the_sound(make, seconds: float):
    assert probed(make(seconds), "audio").duration_ms == pytest.approx(seconds * 1000, abs=60)


def test_an_mp3_with_tags_around_it_is_as_long_as_without():
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x01" + b"\xff\xfb" * 128 + b"\0"
    plain = probed(media_files.mp3(), "audio")

    tagged = probed(tag + plain.data + b"TAG" + b"\xff" * 125, "audio")

    assert (tagged.media_type, tagged.duration_ms) == ("audio/mpeg", plain.duration_ms)


def test_what_begins_like_a_gif_and_goes_on_as_an_archive_is_a_gif():
    assert probed(media_files.polyglot_gif_zip(), "image").media_type == "image/gif"


@pytest.mark.parametrize(("kind", "make"), ALL)
def test_a_limit_just_below_what_the_header_says_refuses_the_file(kind, make: Make):
    media = probed(make(), kind)

    for limits in _just_below(media):
        with pytest.raises(MediaFault, match=r"\d"):
            probe(media.data, kind, limits)


def _just_below(media: Media) -> list[MediaLimits]:
    wide = MediaLimits()
    tight = [replace(wide, max_bytes=len(media.data) - 1)]
    if media.width and media.height:
        tight.append(replace(wide, max_pixels=media.width * media.height - 1))
    if media.duration_ms:
        short = media.duration_ms / 1000 - 0.002
        tight.append(replace(wide, max_audio_s=short, max_video_s=short))
    if media.channels:
        tight.append(replace(wide, max_channels=media.channels - 1))
    return tight


def test_an_animation_of_too_many_frames_is_refused():
    with pytest.raises(MediaFault, match="12 frames; 11 are allowed"):
        probed(media_files.animated_gif(12), "image", MediaLimits(max_frames=11))


def test_the_settings_say_the_limits():
    from runtime.settings import Settings

    settings = Settings(max_payload_bytes=2048, max_image_pixels=9, max_audio_s=1.5, max_video_s=2.5)

    assert media_limits(settings) == MediaLimits(2048, 9, max_audio_s=1.5, max_video_s=2.5)
