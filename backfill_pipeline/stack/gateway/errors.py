"""ClickHouse's own codes, words and HTTP statuses: a client cannot tell these errors from a server's."""

import re

_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"\(([A-Z0-9_]+)\)\s*\Z")
# Some errors, those of the log among them, end with the version already.
_VERSION = re.compile(r"\s*\(version [\d.]+\)\s*\Z")

# What ClickHouse's HTTP handler answers for an error; one that is not here is a 500.
_NAMES_OF_STATUS = {
    400: """BAD_ARGUMENTS
        CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING
        CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING
        CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6 CANNOT_PARSE_UUID CANNOT_PARSE_INPUT_ASSERTION_FAILED DUPLICATE_COLUMN
        ILLEGAL_COLUMN UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE TOO_DEEP_AST TOO_BIG_AST
        UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE""",
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE",
    404: """UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE
        UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT UNKNOWN_DATABASE_ENGINE
        UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE""",
    408: "TIMEOUT_EXCEEDED",
    411: "HTTP_LENGTH_REQUIRED",
    413: "QUERY_IS_TOO_LARGE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
_STATUS_OF_NAME = {name: status for status, names in _NAMES_OF_STATUS.items() for name in names.split()}


class EngineError(Exception):
    """A statement that the engine, or the gateway in its stead, refused, with code and status as ClickHouse's."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = _VERSION.sub("", text).strip()
        code = _CODE.search(text)
        # 1002 is UNKNOWN_EXCEPTION: what the binding itself raised carries no code.
        self.code = int(code.group(1)) if code else 1002

    @classmethod
    def of(cls, code: int, name: str, message: str) -> "EngineError":
        """An error in ClickHouse's form."""
        return cls(f"Code: {code}. DB::Exception: {message}. ({name})")

    @property
    def name(self) -> str:
        """The symbol, which is all that a log may hold: the text may quote a row or a password."""
        found = _NAME.search(self.text)
        return found.group(1) if found else "UNKNOWN_EXCEPTION"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _STATUS_OF_NAME.get(self.name, 500)

    def body(self, version: str) -> bytes:
        """The response's body, which ends with the version as a server's does."""
        text = self.text if self.text.startswith("Code: ") else f"Code: {self.code}. DB::Exception: {self.text}"
        return f"{text} (version {version} (official build))\n".encode(errors="backslashreplace")


class ClientGone(Exception):
    """The client closed the connection, or takes nothing any more: there is nobody left to answer."""


def mid_stream_block(error: EngineError, version: str, tag: str) -> bytes:
    """How ClickHouse ends a response that already began with 200: marked with the tag that the headers announced."""
    message = error.body(version)
    size = str(len(message)).encode()
    return b"\r\n__exception__\r\n%b\r\n%b%b %b\r\n__exception__\r\n" % (tag.encode(), message, size, tag.encode())
