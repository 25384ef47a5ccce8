import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from zipfile import ZIP_BZIP2, ZipFile, ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.collector.archive import Caps, extract, members_of
from shared.errors import UnexpectedDownload, UnsafeArchive
from tests.crafted_zips import damaged, declaring, renamed, written, zip_of

DATA = Path(os.environ.get("QUARRY_DATA") or Path(__file__).parents[3] / "shared" / "data")
REAL_ZIPS = sorted((DATA / "ffiec-cdr-call" / "rebuilt-zips").glob("*.zip"))
SMALL = Caps(member_bytes=10_000, total_bytes=15_000, members=5, ratio=200)

# Each test of this file has its own folder, and no example leaves anything another could see.
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def refusal(folder: Path, data: bytes, caps: Caps = SMALL) -> str:
    path = written(folder, data)
    with pytest.raises(UnsafeArchive) as raised:
        members_of(path, caps)
    return str(raised.value)


def extraction_error(folder: Path, data: bytes, caps: Caps = SMALL) -> Exception:
    path = written(folder, data)
    (info,) = members_of(path, caps)
    with pytest.raises((UnsafeArchive, UnexpectedDownload)) as raised:
        extract(path, info, folder, caps)
    return raised.value


def test_files_are_listed_and_folders_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"schedules/": b"", "schedules/RC.txt": b"1", "b.txt": b"2"}))
    assert [info.filename for info in members_of(path, SMALL)] == ["schedules/RC.txt", "b.txt"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/windows/win.ini", "absolute"),
        ("c:report.txt", "absolute"),
        ("../outside.txt", "leads out"),
        ("inside/../../outside.txt", "leads out"),
        ("..", "leads out"),
        ("inside\\outside.txt", "backslash"),
        ("..\\outside.txt", "backslash"),
        ("line\nbreak.txt", "control character"),
        ("bell\x07.txt", "control character"),
        ("delete\x7f.txt", "control character"),
        ("./report.txt", "simplest way"),
        ("inside//report.txt", "simplest way"),
        (".", "simplest way"),
        ("_manifest.json", "manifest"),
        ("inside/_manifest.json", "manifest"),
        ("_MANIFEST.json", "manifest"),
        ("a" * 256, "longer than 255 bytes"),
        ("é" * 128, "longer than 255 bytes"),
        ("more.zip", "zip inside the zip"),
        ("MORE.ZIP", "zip inside the zip"),
    ],
)
def test_an_unsafe_name_is_refused_and_told(tmp_path: Path, name: str, reason: str) -> None:
    message = refusal(tmp_path, zip_of({"good.txt": b"1", name: b"2"}))
    assert repr(name) in message
    assert reason in message


def test_a_name_with_a_nul_is_refused_as_the_archive_has_it(tmp_path: Path) -> None:
    archive = renamed(zip_of({"report.txt_exe": b"1"}), b"report.txt_exe", b"report.txt\0exe")
    assert "'report.txt\\x00exe' holds a control character" in refusal(tmp_path, archive)


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    assert "has no name" in refusal(tmp_path, zip_of({"": b"1"}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("rc.txt", "rc.txt"),
        ("rc.txt", "RC.TXT"),
        ("straße.txt", "STRASSE.txt"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_two_members_that_some_disk_takes_for_one_are_refused(
    tmp_path: Path, first: str, second: str
) -> None:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile sees the duplicate too
        archive.writestr(first, b"1")
        archive.writestr(second, b"2")
    message = refusal(tmp_path, buffer.getvalue())
    assert repr(first) in message
    assert "more than once" in message


def _link(info: ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def _pipe(info: ZipInfo) -> None:
    info.external_attr = stat.S_IFIFO << 16


def _bzip2(info: ZipInfo) -> None:
    info.compress_type = ZIP_BZIP2


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_link, "symbolic link"), (_pipe, "neither a file nor a folder"), (_bzip2, "method 12")],
)
def test_a_member_that_is_no_plain_file_is_refused(
    tmp_path: Path, change: Callable[[ZipInfo], None], reason: str
) -> None:
    message = refusal(tmp_path, zip_of({"odd.txt": b"/etc/passwd"}, change))
    assert "'odd.txt'" in message
    assert reason in message


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = bytearray(zip_of({"secret.txt": b"1"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    assert "'secret.txt' is encrypted" in refusal(tmp_path, bytes(archive))


def test_more_members_than_allowed_are_refused(tmp_path: Path) -> None:
    archive = zip_of({f"{number}.txt": b"1" for number in range(6)})
    assert "has 6 members, 5 are allowed" in refusal(tmp_path, archive)


def test_a_member_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    archive = declaring(zip_of({"large.txt": b"1"}), size=10_001)
    assert "'large.txt' declares 10001 bytes, 10000 are allowed" in refusal(tmp_path, archive)


def test_members_that_declare_too_much_together_are_refused(tmp_path: Path) -> None:
    archive = zip_of({"a.txt": b"1" * 8_000, "b.txt": b"2" * 8_000})
    assert "declares 16000 bytes in all, 15000 are allowed" in refusal(tmp_path, archive)


def test_a_zip_bomb_is_refused_by_its_ratio_before_it_is_inflated(tmp_path: Path) -> None:
    bomb = zip_of({"bomb.txt": bytes(8 * 1024 * 1024)})
    message = refusal(tmp_path, bomb, Caps())
    assert "'bomb.txt' inflates 1" in message
    assert "200 times are allowed" in message


def test_a_small_file_of_blanks_is_no_bomb(tmp_path: Path) -> None:
    path = written(tmp_path, zip_of({"blank.txt": b" " * 1024 * 1024}))
    (info,) = members_of(path, Caps())
    assert extract(path, info, tmp_path, Caps()).bytes == 1024 * 1024


def test_a_member_is_stored_as_it_was_packed_with_size_and_digest(tmp_path: Path) -> None:
    data = b"IDRSSD\t1\t\r\n" * 300
    path = written(tmp_path, zip_of({"rc.txt": data}))
    (info,) = members_of(path, SMALL)
    member = extract(path, info, tmp_path, SMALL)
    assert member.path.read_bytes() == data
    assert (member.name, member.bytes) == ("rc.txt", len(data))
    assert member.sha256 == hashlib.sha256(data).hexdigest()


def test_a_member_inflating_to_more_than_it_declares_is_refused(tmp_path: Path) -> None:
    archive = declaring(zip_of({"liar.txt": b"1" * 9_000}), size=100)
    error = extraction_error(tmp_path, archive)
    assert isinstance(error, UnsafeArchive)
    assert "'liar.txt' inflates to more than the 100 bytes" in str(error)


def test_a_liar_with_the_checksum_of_its_lie_is_refused_too(tmp_path: Path) -> None:
    archive = declaring(zip_of({"liar.txt": b"1" * 9_000}), size=100, crc_of=b"1" * 100)
    assert "'liar.txt' is damaged" in str(extraction_error(tmp_path, archive))


def test_a_member_shorter_than_it_declares_is_damaged(tmp_path: Path) -> None:
    error = extraction_error(tmp_path, declaring(zip_of({"short.txt": b"1" * 50}), size=51))
    assert isinstance(error, UnexpectedDownload)
    assert "'short.txt' is damaged: 50 bytes of 51" in str(error)


@pytest.mark.parametrize("files", [{"inner.txt": b"1"}, {}])
def test_a_zip_inside_the_zip_is_refused_whatever_its_name(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    error = extraction_error(tmp_path, zip_of({"report.txt": zip_of(files)}))
    assert isinstance(error, UnsafeArchive)
    assert "'report.txt' is a zip inside the zip" in str(error)


def test_a_damaged_member_is_an_unexpected_download_that_names_it(tmp_path: Path) -> None:
    error = extraction_error(tmp_path, damaged(zip_of({"rc.txt": b"1234567890" * 9}), "rc.txt"))
    assert isinstance(error, UnexpectedDownload)
    assert "'rc.txt' is damaged" in str(error)


def test_a_wrong_checksum_is_an_unexpected_download_that_names_the_member(tmp_path: Path) -> None:
    archive = declaring(zip_of({"rc.txt": b"one"}), size=3, crc_of=b"two")
    error = extraction_error(tmp_path, archive)
    assert isinstance(error, UnexpectedDownload)
    assert "'rc.txt' is damaged" in str(error)


@pytest.mark.parametrize("kept", [0, 10, 60, 100])
def test_a_truncated_zip_is_an_unexpected_download(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path, zip_of({"rc.txt": b"1234567890" * 9})[:kept])
    with pytest.raises(UnexpectedDownload, match=r"from outside\.zip is not a readable zip"):
        members_of(path, SMALL)


plain_names = st.from_regex(r"[A-Za-z0-9 ()&.\-]{1,40}", fullmatch=True).filter(
    lambda name: set(name) != {"."} and not name.lower().endswith(".zip")
)


@same_folder
@given(folders=st.lists(plain_names, max_size=2), name=plain_names)
def test_a_plain_name_passes(tmp_path: Path, folders: list[str], name: str) -> None:
    full = "/".join([*folders, name])
    path = written(tmp_path, zip_of({full: b"1"}))
    assert [info.filename for info in members_of(path, SMALL)] == [full]


@same_folder
@given(name=st.text(max_size=40).filter(lambda name: max(name, default="a") < "\ud800"))
def test_whatever_passes_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, zip_of({name: b"1"}))
    try:
        found = members_of(path, SMALL)
    except UnsafeArchive:
        return
    for info in found:
        parts = PurePosixPath(info.filename).parts
        assert not {"..", "/", "\\"} & set(parts)
        assert info.filename == "/".join(parts)
        assert not any(ord(one) < 32 for one in info.filename)


@same_folder
@given(
    unsafe=st.sampled_from(["../{}", "/{}", "{}\\x", "a/../../{}", "Z:{}", "{}\x00x", "a//{}"]),
    name=plain_names,
)
def test_an_unsafe_name_never_passes(tmp_path: Path, unsafe: str, name: str) -> None:
    wanted = unsafe.format(name)
    held = zip_of({wanted.replace("\0", "\x01"): b"1"}).replace(b"\x01x", b"\0x")
    assert wanted in refusal(tmp_path, held).encode().decode("unicode_escape")


@same_folder
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
def test_a_zip_with_any_bytes_changed_is_read_or_refused_with_our_errors(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    archive = bytearray(zip_of({"rc.txt": b"1234567890" * 9, "ri.txt": b"9876543210" * 9}))
    for place, value in changes:
        archive[place % len(archive)] = value
    path = written(tmp_path, bytes(archive))
    # Any other error is one the worker would not know the meaning of.
    with suppress(UnsafeArchive, UnexpectedDownload):
        for info in members_of(path, SMALL):
            member = extract(path, info, tmp_path, SMALL)
            assert member.bytes == info.file_size


def kept_zips() -> list[tuple[str, bytes, int]]:
    """Name, bytes and number of members of the kept public zips, else of one of that shape."""
    members = {"03312013": 43, "09302020": 49}
    kept = [(path.stem[-8:], path.read_bytes()) for path in REAL_ZIPS]
    if not kept:
        made = {f"Schedule {number}.txt": b"0.1\t" * 50_000 for number in range(49)}
        return [("made up", zip_of(made), 49)]
    return [(name, data, members[name]) for name, data in kept]


def test_a_quarter_of_real_size_is_within_the_caps(tmp_path: Path) -> None:
    for name, data, members in kept_zips():
        path = written(tmp_path, data)
        infos = members_of(path, Caps())
        assert len(infos) == members, name
        largest = max(infos, key=lambda info: info.file_size)
        assert extract(path, largest, tmp_path, Caps()).bytes == largest.file_size
