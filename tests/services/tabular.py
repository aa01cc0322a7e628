"""A tabular model behind four workers, each an event loop of its own: 4 ms of CPU a request.

POST /score {"rows": [[…], …]}.
"""

from fastapi import FastAPI
from pydantic import BaseModel

from tests.services.serving import main, work

SCORING_S = 4e-3

app = FastAPI()


class Question(BaseModel):
    rows: list[list[float]]


@app.post("/score")
async def score(question: Question) -> dict[str, object]:
    work(SCORING_S)
    return {"scores": [sum(row) for row in question.rows]}


if __name__ == "__main__":
    main(app, n_workers=4)
