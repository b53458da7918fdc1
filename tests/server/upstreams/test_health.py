"""When a replica is asked, and when it is left alone."""

from multiturn.server.upstreams.health import FIRST_PAUSE_S, LONGEST_PAUSE_S, Health


def test_a_replica_is_up_until_it_fails() -> None:
    health = Health()
    assert health.is_up(0)
    assert not health.begin(0)
    assert health.failed(began=0, now=1)
    assert not health.is_up(1)
    assert health.out_s(1) == FIRST_PAUSE_S


def test_one_call_tries_it_after_the_pause_while_others_go_elsewhere() -> None:
    health = failed_once()
    assert health.is_up(1 + FIRST_PAUSE_S)
    assert health.begin(1 + FIRST_PAUSE_S)
    assert not health.is_up(100)
    assert not health.begin(100)
    assert health.answered(began=1 + FIRST_PAUSE_S)
    assert health.is_up(100)
    assert not health.begin(100)


def test_a_try_that_is_given_up_leaves_it_to_the_next() -> None:
    health = failed_once()
    tries = health.begin(10)
    health.leave(tries)
    assert health.is_up(10)
    assert health.begin(10)


def test_a_call_that_does_not_try_it_does_not_end_the_try_of_another() -> None:
    health = failed_once()
    assert health.begin(10)
    health.leave(health.begin(10))
    assert not health.is_up(10)


def test_each_failure_doubles_the_pause_up_to_a_minute() -> None:
    health, now, pauses = Health(), 0.0, []
    for _ in range(40):
        health.begin(now)
        assert health.failed(began=now, now=now)
        pauses.append(health.out_s(now))
        now += health.out_s(now)
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert health.answered(began=now)
    assert health.failed(began=now, now=now)
    assert health.out_s(now) == FIRST_PAUSE_S


def test_calls_that_fail_together_count_once() -> None:
    health = Health()
    assert [health.failed(began=0, now=1 + n) for n in range(50)] == [True] + [False] * 49
    assert health.out_s(1) == FIRST_PAUSE_S


def test_what_began_before_it_was_out_does_not_bring_it_back() -> None:
    health = failed_once()
    assert not health.answered(began=0.5)
    assert not health.is_up(1.5)


def test_a_rest_is_no_failure() -> None:
    health = Health()
    health.rest(5, now=10)
    assert not health.is_up(14)
    assert health.is_up(15)
    assert not health.begin(15)
    health.rest(9999, now=20)
    assert health.is_up(20 + LONGEST_PAUSE_S)


def failed_once() -> Health:
    health = Health()
    health.failed(began=1, now=1)
    return health
