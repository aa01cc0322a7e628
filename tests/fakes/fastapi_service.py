"""A service as users write them: `python fastapi_service.py` prints its port and serves until its standard input ends.

POST /predict takes rows of three numbers and answers their doubles, to whoever knows the token in SERVICE_TOKEN.
"""

import os
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

app = FastAPI()


class Row(BaseModel):
    x: list[float]


class Question(BaseModel):
    instances: list[Row]
    is_wrong: bool = False


@app.post("/predict")
async def predict(question: Question, authorization: str = Header(default="")) -> dict[str, object]:
    if authorization != f"Bearer {os.environ['SERVICE_TOKEN']}":
        raise HTTPException(status_code=401)
    factor = 3.0 if question.is_wrong else 2.0
    return {"version": 3, "predictions": [[factor * value for value in row.x] for row in question.instances]}


def main() -> None:
    """Serve on a free port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
