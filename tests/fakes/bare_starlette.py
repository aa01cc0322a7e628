"""The least that a web framework can do for the same answer: `python bare_starlette.py MODEL CORE`.

Starlette on uvicorn with httptools and uvloop, as the embedded server's own wire is. It parses the same JSON, runs the
same session and writes the same document, and checks nothing.
"""

import json
import os
import socket
import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main(model: str, core: int) -> None:
    """Say the port as the embedded server does, and serve."""
    os.sched_setaffinity(0, {core})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    async def infer(request: Request) -> Response:
        tensor = orjson.loads(await request.body())["inputs"][0]
        x = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
        (y,) = session.run(["y"], {"x": x})
        output = {"name": "y", "datatype": "FP32", "shape": y.shape, "data": y.ravel()}
        document = {"model_name": "small", "model_version": "1", "outputs": [output]}
        return Response(
            orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), headers={"content-type": "application/json"}
        )

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
    sys.stdout.flush()
    app = Starlette(routes=[Route("/v2/models/small/infer", infer, methods=["POST"])])
    config = uvicorn.Config(app, http="httptools", loop="uvloop", access_log=False, log_level="error", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
