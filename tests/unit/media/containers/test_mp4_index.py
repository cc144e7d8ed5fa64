from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from support.media.damaged_files import claim
from support.media.media_fixtures import write_clip, write_faststart_clip
from vrmatte.errors import InputError
from vrmatte.media.containers.mp4_index import check_claims
from vrmatte.media.opening import MOST_FRAMES

pytestmark = pytest.mark.faults

SPARE_BYTES = 600_000_000
"""What opening a small file may take beyond the loaded libraries; the bombs ask for gigabytes."""


def many_samples(path: Path) -> None:
    """200 million samples of one byte each, all in one chunk: five gigabytes of index."""
    write_clip(path, frames=4)
    claim(path, b"stsz", 4, (1).to_bytes(4) + (200_000_000).to_bytes(4))
    claim(path, b"stsc", 12, (200_000_000).to_bytes(4))
    claim(path, b"stts", 8, (200_000_000).to_bytes(4))


def many_times(path: Path) -> None:
    write_clip(path, frames=4)
    claim(path, b"stts", 8, (4_000_000_000).to_bytes(4))


def many_entries(path: Path) -> None:
    write_faststart_clip(path, frames=4)
    claim(path, b"stco", 4, (500_000_000).to_bytes(4))


def many_in_a_fragment(path: Path) -> None:
    write_clip(path, frames=8, container_options={"movflags": "frag_keyframe+empty_moov"})
    claim(path, b"trun", 4, (150_000_000).to_bytes(4))


def endless(path: Path) -> None:
    """Three frames, the last of them shown after 25 hours."""
    write_clip(path, pts=[0, 1500, 25 * 3600 * 1500], time_base=Fraction(1, 1500), bframes=False)


def huge_picture(path: Path) -> None:
    """A JPEG that says it is 65500 x 65500."""
    write_clip(path, frames=2, codec="mjpeg", pix_fmt="yuvj420p", full_range=True)
    data = path.read_bytes()
    path.write_bytes(
        data.replace(
            b"\xff\xc0\x00\x11\x08\x00\x80\x01\x00", b"\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc"
        )
    )


BOMBS = {
    "many_samples.mp4": many_samples,
    "many_times.mp4": many_times,
    "many_entries.mp4": many_entries,
    "many_in_a_fragment.mp4": many_in_a_fragment,
    "endless.mp4": endless,
    "huge_picture.mov": huge_picture,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_memory(tmp_path, name):
    """In a process that can't have more memory than an honest file needs."""
    path = tmp_path / name
    BOMBS[name](path)
    program = (
        "import resource, sys; from pathlib import Path; from vrmatte.errors import InputError\n"
        "from vrmatte.media.probe import probe\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {SPARE_BYTES},) * 2)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: probe(Path(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, grown_kb = done.stdout.splitlines()
    assert str(path) in said
    assert int(grown_kb) < 100_000  # libraries that are loaded late; the bombs ask for gigabytes


@pytest.mark.parametrize("bomb", [many_samples, many_times, many_entries, many_in_a_fragment])
def test_claims_are_told(tmp_path, bomb):
    bomb(tmp_path / "bomb.mp4")
    with pytest.raises(InputError, match=r"bomb\.mp4: its index claims \d+ "):
        check_claims(tmp_path / "bomb.mp4")


@pytest.mark.parametrize("audio", ["aac", "pcm_s16le"])
def test_honest_files_pass(tmp_path, audio):
    """PCM has a sample for every tick of sound, of which no index is made."""
    for name, options in (("a.mov", {}), ("b.mov", {"movflags": "frag_keyframe+empty_moov"})):
        seconds = Fraction(20)
        write_clip(
            tmp_path / name,
            frames=8,
            audio=(audio,),
            audio_seconds=seconds,
            container_options=options,
        )
        check_claims(tmp_path / name)


def test_other_containers_and_rubbish_pass(tmp_path):
    write_clip(tmp_path / "a.mkv", frames=4)
    check_claims(tmp_path / "a.mkv")
    for content in (
        b"",
        b"xxxxftyp",
        b"\x00\x00\x00\x08moov" * 50,
        b"\x00\x00\x00\x01moov" + b"\xff" * 8,
    ):
        (tmp_path / "b.mp4").write_bytes(content)
        check_claims(tmp_path / "b.mp4")


def test_tracks_and_compressed_indices_are_counted(tmp_path):
    def box(kind: bytes, body: bytes = b"") -> bytes:
        return (8 + len(body)).to_bytes(4) + kind + body

    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"moov", box(b"trak") * 300))
    with pytest.raises(InputError, match="more than 256 tracks"):
        check_claims(path)
    path.write_bytes(box(b"moov", box(b"cmov")))
    with pytest.raises(InputError, match="compressed index"):
        check_claims(path)
    nested = b""
    for _ in range(2000):
        nested = box(b"moov", nested)
    path.write_bytes(nested)
    check_claims(path)
    assert MOST_FRAMES == 24 * 3600 * 60
