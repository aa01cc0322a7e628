"""A text encoder: one request at a time, of as much CPU as its text is long.

POST /encode {"text": "…"}; a word takes 40 µs, and every request 0.5 ms.
"""

from fastapi import FastAPI
from pydantic import BaseModel

from tests.services.serving import main, work

REQUEST_S, WORD_S = 0.5e-3, 40e-6

app = FastAPI()


class Question(BaseModel):
    text: str


@app.post("/encode")
async def encode(question: Question) -> dict[str, object]:
    n_words = len(question.text.split())
    work(REQUEST_S + WORD_S * n_words)
    return {"n_words": n_words, "embedding": [0.1, 0.2, 0.3]}


if __name__ == "__main__":
    main(app)
