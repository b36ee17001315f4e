"""The answer that sends an export's file, for admin and API alike."""

from django.http import StreamingHttpResponse
from django.utils.text import slugify

from exports.domain import Format
from exports.models import Export
from exports.services import content_of
from exports.writing import TYPES


def file_answer(export: Export) -> StreamingHttpResponse:
    """Send the file of a finished export as a download."""
    name = slugify(f"{export.kind}-{export.account.name}-{export.pk}")
    answer = StreamingHttpResponse(content_of(export), content_type=TYPES[Format(export.format)])
    answer["Content-Disposition"] = f'attachment; filename="{name}.{export.format}"'
    answer["Content-Length"] = str(export.size_bytes)
    return answer
