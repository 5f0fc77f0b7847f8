import pytest

from ihobs.demo.faults import CONDITIONS, FAULTS, RateLimitedError, ServiceError, Services, is_transient


def outcomes(fault, *, seed=0, requests=1000):
    services = Services(seed=seed, sleep=lambda _: None)
    services.conditions = CONDITIONS[fault]
    found = []
    for _ in range(requests):
        try:
            services.request()
        except ServiceError as error:
            found.append(error.status_code)
        else:
            found.append(200)
    return found


def test_there_are_conditions_for_every_fault():
    assert set(CONDITIONS) == {"none", *FAULTS}


@pytest.mark.parametrize(("fault", "status", "share"), [("errors", 503, 0.4), ("quota", 429, 0.2)])
def test_about_the_given_share_of_requests_is_refused(fault, status, share):
    found = outcomes(fault)
    assert set(found) == {200, status}
    assert found.count(status) / len(found) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("fault", ["none", "slow", "cost"])
def test_other_conditions_refuse_nothing(fault):
    assert set(outcomes(fault)) == {200}


def test_the_same_seed_refuses_the_same_requests():
    assert outcomes("errors", seed=3) == outcomes("errors", seed=3) != outcomes("errors", seed=4)


def test_a_slow_service_makes_each_request_wait():
    naps = []
    services = Services(sleep=naps.append)
    services.conditions = CONDITIONS["slow"]
    services.request()
    services.request()
    assert naps == [0.5, 0.5]


def test_only_429_and_5xx_are_worth_another_attempt():
    class ClientError(Exception):
        def __init__(self, status_code):
            self.status_code = status_code

    assert is_transient(RateLimitedError("slow down"))
    assert [is_transient(ClientError(status)) for status in (400, 401, 404, 500, 529)] == [False] * 3 + [True] * 2
    assert not is_transient(ValueError("a bug"))
