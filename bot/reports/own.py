"""What a job says of itself in its results folder: `annotations.json`, and the Markdown of `summary.md`.

The annotations have the shape that GitHub takes: https://docs.github.com/en/rest/checks/runs#create-a-check-run
"""

from __future__ import annotations

import msgspec

from bot.model import check, report
from bot.reports import limits, paths

ANNOTATIONS, SUMMARY = "annotations.json", "summary.md"
_LEVELS = {one.value: one for one in check.Level}


class _Annotation(msgspec.Struct):
    path: str
    message: str
    start_line: int = 1
    end_line: int | None = None
    annotation_level: str = check.Level.FAILURE.value
    title: str | None = None
    raw_details: str | None = None


class _Annotations(msgspec.Struct):
    annotations: list[_Annotation]


_LIST = msgspec.json.Decoder(list[_Annotation])
_OBJECT = msgspec.json.Decoder(_Annotations)


def findings(data: bytes, *, places: paths.Places | None = None) -> tuple[report.Finding, ...]:
    """The annotations of a file: a list of them, or an object that has it under `annotations`.

    :raises limits.Unreadable: if one of them has another shape; then none is taken.
    """
    limits.check_size(data)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        is_object = data.lstrip().startswith(b"{")
        found = _OBJECT.decode(data).annotations if is_object else _LIST.decode(data)
    except msgspec.ValidationError as error:
        raise limits.Unreadable(f"it holds no annotations: {limits.cut(str(error), 200)}.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise limits.Unreadable(f"it is no JSON: {limits.cut(str(error), 200)}.") from None
    except RecursionError:
        raise limits.Unreadable("its values are nested too deep.") from None
    return tuple(_finding(one, places or paths.Places()) for one in found)


def _finding(one: _Annotation, places: paths.Places) -> report.Finding:
    relative = places.relative(one.path)
    line = one.start_line if 1 <= one.start_line <= limits.MAX_NUMBER else 1
    end_line = one.end_line if one.end_line is not None and one.end_line <= limits.MAX_NUMBER else line
    details = limits.cut(one.raw_details, limits.MAX_DETAILS_CHARACTERS) if one.raw_details else None
    return report.Finding(
        tool="",
        path=limits.cut(relative or one.path, limits.MAX_PATH_CHARACTERS) or "(no file)",
        line=line,
        end_line=max(line, end_line),
        is_inside=relative is not None,
        level=_LEVELS.get(one.annotation_level, check.Level.FAILURE),
        text=limits.cut(one.message.strip(), limits.MAX_TEXT_CHARACTERS) or "(no message)",
        title=limits.cut(one.title.strip(), limits.MAX_NAME_CHARACTERS) or None if one.title else None,
        details=details,
    )


def summary(data: bytes) -> str:
    """The text of a summary, cut; what is no UTF-8 becomes U+FFFD.

    :raises limits.Unreadable: if it is too large to be a text for people.
    """
    limits.check_size(data)
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").replace("\0", "\ufffd")
    return limits.cut(text.strip("\n"), limits.MAX_SUMMARY_CHARACTERS)
