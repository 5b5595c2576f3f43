"""What the gateway's OpenAPI document says of its refusals."""

from typing import Final

BAD_JSON: Final = {400: "The body is not valid JSON."}
TOO_LARGE: Final = {413: "The request is larger than the service takes."}
NO_QUEUE: Final = {503: "The job queue does not answer; try again after Retry-After seconds."}
INFERENCE_ERRORS: Final = {
    415: "A content type or an image format that is not taken.",
    422: "An image or a field that cannot be used; the message says why.",
    502: "Inference failed on this request.",
    503: "Inference is away or not ready; try again after Retry-After seconds.",
    **BAD_JSON,
    **TOO_LARGE,
}
