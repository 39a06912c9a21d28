from services.orchestrator.policy.cached_attribute import cached_attribute


class Sum:
    """Counts how often it is worked out."""

    def __init__(self) -> None:
        self.asked = 0

    @cached_attribute
    def total(self) -> int:
        """One more each time."""
        self.asked += 1
        return self.asked


def test_it_is_worked_out_when_it_is_asked_for_and_once_for_each_instance() -> None:
    one, other = Sum(), Sum()
    assert one.asked == 0
    assert [one.total, one.total, other.total] == [1, 1, 1]


def test_on_the_class_it_is_itself_and_says_what_it_means() -> None:
    assert isinstance(Sum.total, cached_attribute)
    assert Sum.total.__doc__ == "One more each time."
