"""JSON pointers (RFC 6901): `/predictions/0/label` names one value in a document."""


class NothingThere(LookupError):
    """The document has no value at this pointer."""


def value_at(document: object, pointer: str) -> object:
    """The value that the pointer names; the empty pointer names the whole document.

    Raises:
        NothingThere: when there is none. A pointer that does not begin with a slash names nothing.
    """
    if not pointer:
        return document
    if not pointer.startswith("/"):
        raise NothingThere(pointer)
    value = document
    for token in pointer[1:].split("/"):
        value = _member(value, token.replace("~1", "/").replace("~0", "~"))
    return value


def _member(value: object, key: str) -> object:
    if isinstance(value, dict) and key in value:
        return value[key]
    # RFC 6901, section 4: digits without a leading zero.
    if isinstance(value, list) and key.isdecimal() and key.isascii() and str(int(key[:18])) == key:
        index = int(key)
        if index < len(value):
            return value[index]
    raise NothingThere(key)
