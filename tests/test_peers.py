"""The comparison with peers: what a row of its table says."""

from peers import Asked


def test_a_row_has_shares_of_the_ideal_time_and_tells_which_answers_are_missing():
    asked = Asked(calls=2560, answers=2559, requests_s=4.0, whole_s=8.0, cpu_s=5.12)  # ideal: ten times 200 ms
    assert asked.write_row().split() == ["0.500", "0.250", "2.00", "2,559", "of", "2,560", "answers"]
