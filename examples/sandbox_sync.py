"""Verdicts in a program without an event loop."""

from autoif import Sandbox

FUNCTION = """
def evaluate(response):
    return len(response.split()) < 5
"""

with Sandbox() as sandbox:
    for outcome in sandbox.run_sync(FUNCTION, ["Short enough.", "This one has a few words too many."]):
        print(outcome.verdict, outcome.detail)
