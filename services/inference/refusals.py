"""What the service refuses, for its OpenAPI document."""

from typing import Final

REFUSALS: Final = {
    400: "The body is not valid JSON, an image is missing, or its text is no base64.",
    408: "The request was not sent to its end in time.",
    413: "The request, an image's file or its pixels, or the number of images is larger than the service takes.",
    415: "A content type or an image format that is not taken.",
    422: "An image that is cut off or damaged, or a field that is wrong; the message says which.",
    503: "No model answers for this slot, or the request took too long; try again after Retry-After seconds.",
}
