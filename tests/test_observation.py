"""What functions do beside each other (§3.2): on which texts, how answers are counted, and when that is settled."""

import pytest

from autoif.behaviour import Cluster
from autoif.instructions.observation import Behaviour, ObservedText, Observer, follow_repairs, list_observed_texts
from autoif.probes import load_probes
from autoif.records import Answer, Draft, Function, FunctionFault, Repair, RepairOutcome, Verdict
from autoif.sandbox.outcomes import Outcome
from autoif.settings import Verification
from conftest import MakeTools
from support.records import ACCEPT, BROKEN, RAISE, accepts, draft

P, F = Verdict.PASS, Verdict.FAIL


def test_the_texts_are_cases_responses_near_misses_and_probes_each_once() -> None:
    probe = load_probes()[5]
    texts = list_observed_texts(draft([], [("tea for two", True), (probe, False)]), ["Tea.", "tea for two"])
    assert len({each.text for each in texts}) == len(texts)
    assert texts[:3] == (
        ObservedText("tea for two", "case"),
        ObservedText(probe, "case"),
        ObservedText("Tea.", "response"),
    )
    listed = {each.text: each.source for each in texts}
    assert listed["TEA FOR TWO"] == "probe"
    assert {*load_probes(), draft([], []).instruction.text} <= listed.keys()


def behave(votes: list[int], verdicts: list[Verdict]) -> Behaviour:
    """Return functions that behave each in a way of its own, the first with these verdicts."""
    other = tuple(P if verdict is F else F for verdict in verdicts)
    clusters = tuple(Cluster((place,), tuple(verdicts) if not place else other) for place in range(len(votes)))
    texts = tuple(ObservedText(str(number), "probe") for number in range(len(verdicts)))
    outcomes = tuple(tuple(map(Outcome, cluster.verdicts)) for cluster in clusters)
    return Behaviour(texts, outcomes, tuple(votes), clusters)


@pytest.mark.parametrize(
    ("votes", "settled"),
    [([2], True), ([1], False), ([3, 1], True), ([2, 1], False), ([6, 2], True), ([6, 3], False), ([], False)],
)
def test_behaviour_is_settled_where_enough_of_the_answers_behave_alike(votes: list[int], settled: bool) -> None:
    assert behave(votes, [P, F]).is_settled(Verification()) is settled
    assert not behave(votes, [P, P]).is_settled(Verification())
    assert not behave(votes, [F, F]).is_settled(Verification())


def test_how_many_and_which_share_are_settings() -> None:
    behaviour = behave([2, 1], [P, F])
    assert behaviour.is_settled(Verification(settled="> 0.5"))
    assert not behaviour.is_settled(Verification(settled="> 0.5", settled_functions=3))


def repair(old: str, new: str, outcome: RepairOutcome = RepairOutcome.REPAIRED) -> Repair:
    return Repair(
        round=1, fault=FunctionFault.RAISES, function=Function.of(old), feedback="", answer=Answer(index=0, repairs=()),
        explanation="", made=Function.of(new), outcome=outcome,
    )  # fmt: skip


def test_repairs_are_followed_to_what_a_function_is_now() -> None:
    became = follow_repairs([repair("a", "b"), repair("c", "d", RepairOutcome.NO_BETTER), repair("b", "e")])
    assert {old: new.source for old, new in became.items()} == {Function.of("a").id: "e", Function.of("b").id: "e"}


async def test_a_function_has_the_votes_of_all_answers_that_led_to_it(make_tools: MakeTools) -> None:
    sources = [accepts("tea"), accepts("e"), "lost"]
    repaired = repair("lost", accepts("tea"))
    answers = tuple(
        Answer(index=index, repairs=(), function=Function.of(sources[place]).id)
        for index, place in enumerate([0, 1, 1, 2, 2, 2])
    )
    written = draft(sources[:2], [("tea", True)]).model_copy(update={"answers": answers, "repairs": (repaired,)})
    behaviour = await Observer(make_tools()).observe(written)
    assert behaviour.votes == (4, 2)
    assert [behaviour.count_votes(cluster) for cluster in behaviour.clusters] == [4, 2]


async def test_functions_that_do_not_load_have_no_behaviour(make_tools: MakeTools) -> None:
    behaviour = await Observer(make_tools()).observe(draft([BROKEN, accepts("tea"), RAISE], [("tea", True)]))
    assert [cluster.members for cluster in behaviour.clusters] == [(1,), (2,)]
    assert [behaviour.loads(place) for place in range(3)] == [False, True, True]


async def test_a_text_is_run_once_however_often_it_is_looked_at(make_tools: MakeTools) -> None:
    tools = make_tools()
    observer = Observer(tools)
    written: Draft = draft([ACCEPT], [("tea", True)])
    first = await observer.observe(written)
    before = tools.sandbox.verdicts
    assert await observer.observe(written) == first
    assert tools.sandbox.verdicts == before
