"""What the tests of workers let them do."""

import ctypes
import time


def double(number: int) -> int:
    return 2 * number


def shout(text: str) -> str:
    print(text)
    return text.upper()


def fail(text: str) -> None:
    raise ValueError(text)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def spin() -> None:
    while True:
        pass


def take_memory(bytes_: int) -> int:
    return len(bytearray(bytes_))


def crash() -> None:
    ctypes.string_at(0)


def large(bytes_: int) -> bytes:
    return b"x" * bytes_
