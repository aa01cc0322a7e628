"""The messages of the gRPC service, held against those of a client that others wrote."""

import pytest
from tritonclient.grpc import service_pb2

from loadplan import v2_messages


def _sample_request(module: object) -> object:
    request = module.ModelInferRequest(model_name="m", model_version="1", id="a7", raw_input_contents=[b"\x00\x01"])  # type: ignore[attr-defined]
    request.parameters["timeout"].int64_param = -5
    request.parameters["priority"].uint64_param = 5
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, -1])
    tensor.parameters["p"].string_param = "text"
    contents = tensor.contents
    contents.bool_contents.append(True)
    contents.int_contents.append(-1)
    contents.int64_contents.append(-(2**63))
    contents.uint_contents.append(2**32 - 1)
    contents.uint64_contents.append(2**64 - 1)
    contents.fp32_contents.append(0.5)
    contents.fp64_contents.append(0.1)
    contents.bytes_contents.append(b"\xff")
    request.outputs.add(name="y").parameters["b"].bool_param = True
    request.outputs.add(name="z").parameters["d"].double_param = 0.25
    return request


def _sample_answer(module: object) -> object:
    answer = module.ModelInferResponse(model_name="m", model_version="1", id="a7", raw_output_contents=[b"\x02"])  # type: ignore[attr-defined]
    answer.parameters["q"].string_param = "text"
    tensor = answer.outputs.add(name="y", datatype="INT64", shape=[2])
    tensor.parameters["b"].bool_param = False
    tensor.contents.int64_contents.extend([1, -2])
    return answer


def _sample_metadata(module: object) -> object:
    answer = module.ModelMetadataResponse(name="m", versions=["1", "2"], platform="onnx")  # type: ignore[attr-defined]
    answer.inputs.add(name="x", datatype="FP32", shape=[-1, 4])
    answer.outputs.add(name="y", datatype="BYTES", shape=[-1])
    return answer


@pytest.mark.parametrize("sample", [_sample_request, _sample_answer, _sample_metadata])
def test_a_full_message_has_the_bytes_that_another_client_writes(sample) -> None:  # type: ignore[no-untyped-def]
    theirs = sample(service_pb2)
    ours = sample(v2_messages)
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


def test_every_field_of_every_message_is_the_one_that_another_client_knows() -> None:
    theirs = service_pb2.DESCRIPTOR.message_types_by_name
    for request, answer in v2_messages.METHODS.values():
        for made in (request, answer):
            known = {field.number: field.name for field in theirs[made.DESCRIPTOR.name].fields}
            assert {field.number: field.name for field in made.DESCRIPTOR.fields} == known
    method = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name["ModelInfer"]
    assert method.full_name == f"{v2_messages.SERVICE}.ModelInfer"
