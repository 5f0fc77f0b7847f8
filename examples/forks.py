"""A program that forks by hand and through multiprocessing: every process records its own runs.

ihobs exec -- python examples/forks.py
"""

from __future__ import annotations

import multiprocessing
import os

import ihobs


@ihobs.workflow("work")
def work(number: int) -> int:
    with ihobs.tool("square"):
        return number * number


def main() -> None:
    print("parent", work(1))

    child = os.fork()
    if child == 0:
        print("forked child", work(2), flush=True)
        raise SystemExit
    os.waitpid(child, 0)

    with multiprocessing.get_context("fork").Pool(2) as pool:
        print("pool", pool.map(work, [3, 4]))
        pool.close()
        pool.join()

    process = multiprocessing.get_context("spawn").Process(target=work, args=(5,))
    process.start()
    process.join()


if __name__ == "__main__":
    main()
