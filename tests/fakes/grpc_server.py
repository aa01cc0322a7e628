"""A gRPC server that others wrote, with a known law: `python grpc_server.py '{"service_s": 0.05}'` prints its port.

ModelInfer answers every request with the output y = 2 x. It serves until its standard input ends.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import numpy as np
from tritonclient.grpc import service_pb2


@dataclass(kw_only=True)
class Law:
    service_s: float = 0.0
    max_streams: int = 0  # at once on one connection; 0: any number
    max_age_ms: int = 0  # after this a connection is told to go away; 0: never
    fails_every: int = 0  # every n-th call ends with this status
    status: str = "RESOURCE_EXHAUSTED"


class Doubling:
    def __init__(self, law: Law) -> None:
        self.law = law
        self.n_calls = 0

    def infer(self, request: service_pb2.ModelInferRequest, context: grpc.ServicerContext) -> object:
        self.n_calls += 1
        if self.law.fails_every and self.n_calls % self.law.fails_every == 0:
            context.abort(grpc.StatusCode[self.law.status], "as the law says")
        time.sleep(self.law.service_s)
        tensor = request.inputs[0]
        x = np.frombuffer(request.raw_input_contents[0], dtype="<f4")
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, raw_output_contents=[(2 * x).tobytes()])
        answer.outputs.add(name="y", datatype="FP32", shape=tensor.shape)
        return answer


def main() -> None:
    law = Law(**json.loads(sys.argv[1]))
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    if law.max_streams:
        options.append(("grpc.max_concurrent_streams", law.max_streams))
    if law.max_age_ms:
        options.append(("grpc.max_connection_age_ms", law.max_age_ms))
    server = grpc.server(ThreadPoolExecutor(32), options=options)
    method = grpc.unary_unary_rpc_method_handler(
        Doubling(law).infer,
        request_deserializer=service_pb2.ModelInferRequest.FromString,
        response_serializer=service_pb2.ModelInferResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": method})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
