"""A program that ends with an exception: what happened until then, and the failed run, are recorded.

ihobs exec -- python examples/crashes.py; echo "exit code $?"
"""

from __future__ import annotations

import ihobs


@ihobs.workflow("nightly")
def nightly(step: int) -> None:
    with ihobs.node("load"):
        pass
    with ihobs.node("answer"), ihobs.llm("chat", model="local-1", provider="local") as call:
        call.usage(input_tokens=100, output_tokens=20)
        if step == 2:
            raise TimeoutError("the model did not answer")


for step in range(3):
    nightly(step)
