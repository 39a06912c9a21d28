"""Attributes that are worked out when somebody asks for them, and kept."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):
    """Turns a method into such an attribute. Unlike `functools.cached_property` it takes no lock: its value is pure,
    so two threads that work it out at once do no harm. The instance needs a `__dict__`.
    """

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "lazy[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> "lazy[T] | T":
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._work_out(instance)
        return found
