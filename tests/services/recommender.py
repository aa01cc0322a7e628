"""A recommender: an event loop that waits for a feature store, then scores its candidates in 3 ms of its one core.

GET /recommend?user=5. With `FETCH_MS` in the environment the store answers in another median than 20 ms; with
`FAILS_ABOVE` requests inside at once it answers 500 to the others.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI, HTTPException

from tests.services.serving import lognormal, main, work

SCORING_S, FETCH_SPREAD = 3e-3, 0.4

app = FastAPI()
fetch_s = 1e-3 * float(os.environ.get("FETCH_MS", "20"))
n_most = int(os.environ.get("FAILS_ABOVE", "1000000"))
draw = random.Random(5)
inside = [0]


@contextmanager
def counted() -> Iterator[None]:
    if inside[0] >= n_most:
        raise HTTPException(status_code=500, detail="out of connections")
    inside[0] += 1
    try:
        yield
    finally:
        inside[0] -= 1


@app.get("/recommend")
async def recommend(user: int = 0) -> dict[str, object]:
    with counted():
        await asyncio.sleep(lognormal(fetch_s, FETCH_SPREAD, draw))
        work(SCORING_S)
        return {"user": user, "items": [3, 1, 2]}


if __name__ == "__main__":
    main(app)
