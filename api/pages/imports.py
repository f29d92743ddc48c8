"""Files: dropped on the page, and what became of those that were sent before."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from api.files import store
from api.files.store import Upload
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from shared.uploads import UploadStatus

_SHOWN: Final = 30
_WORDS: Final = {
    UploadStatus.QUEUED: "Waiting to be read",
    UploadStatus.PROCESSING: "Being read",
    UploadStatus.DONE: "Imported",
    UploadStatus.DUPLICATE: "Here already",
    UploadStatus.FAILED: "Could not be read",
}


async def show_imports(request: PagesRequest, visitor: Visitor) -> Response:
    """The drop zone, and the files sent lately."""
    uploads = await store.list_uploads(
        request.state["database"],
        visitor.user.caller.user_id,
        parent_id=None,
        status=None,
        after=None,
        limit=_SHOWN,
    )
    return page("import.html", visitor, uploads=[_row(each) for each in uploads])


def _row(upload: Upload) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(upload)
    return {**row, "word": _WORDS[upload.status]}


PAGES: Final = (Page("/import", show_imports),)
