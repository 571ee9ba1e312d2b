import pytest

from resgen.work import Work, finish, within


def count(to: int, log: list[int]) -> Work[str]:
    """A work of ``to`` steps that notes each it has begun, and -1 at its end, however it ends."""
    try:
        for step in range(to):
            log.append(step)
            yield step + 1, to
        return "done"
    finally:
        log.append(-1)


def test_a_work_is_told_step_by_step_and_gives_its_result() -> None:
    told: list[tuple[int, int]] = []
    assert finish(count(3, []), lambda *step: told.append(step)) == "done"
    assert told == [(1, 3), (2, 3), (3, 3)] and finish(count(2, [])) == "done"


def test_parts_count_their_steps_among_all() -> None:
    def both() -> Work[list[str]]:
        results = []
        for part in range(3):
            results.append((yield from within(count(2, []), part, 3)))
        return results

    told: list[tuple[int, int]] = []
    assert finish(both(), lambda *step: told.append(step)) == ["done"] * 3
    assert told == [(step, 6) for step in range(1, 7)]


def test_what_watches_may_end_it() -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise InterruptedError

    log: list[int] = []
    with pytest.raises(InterruptedError):
        finish(count(9, log), stop)
    assert log == [0, 1, -1]


def test_a_closed_work_ends_at_its_step_with_all_its_parts() -> None:
    log: list[int] = []
    work = within(count(9, log), 0, 2)
    next(work)
    next(work)
    work.close()
    assert log == [0, 1, -1]
