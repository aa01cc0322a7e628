"""The messages of the Open Inference Protocol's gRPC service, `inference.GRPCInferenceService`, for both of its ends.

Built when first imported from the names and numbers that the protocol publishes, so no generated code lies about, and
in a descriptor pool of their own: whatever else in the process knows the same messages can't collide with these.
Protobuf comes with onnx. Message classes are made at run time, so they have no types but `Any`.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE: Final = "inference.GRPCInferenceService"

_PACKAGE: Final = SERVICE.rpartition(".")[0]
_FieldRule = descriptor_pb2.FieldDescriptorProto
_KINDS: Final[dict[str, int]] = {
    "bool": _FieldRule.TYPE_BOOL,
    "bytes": _FieldRule.TYPE_BYTES,
    "double": _FieldRule.TYPE_DOUBLE,
    "float": _FieldRule.TYPE_FLOAT,
    "int32": _FieldRule.TYPE_INT32,
    "int64": _FieldRule.TYPE_INT64,
    "string": _FieldRule.TYPE_STRING,
    "uint32": _FieldRule.TYPE_UINT32,
    "uint64": _FieldRule.TYPE_UINT64,
}

# Message -> number -> name and kind of the field. A kind that is no scalar is a message; `*` marks many of it. A dot
# leads from a message to one that belongs to it.
_MESSAGES: Final[dict[str, dict[int, tuple[str, str]]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {1: ("live", "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {1: ("ready", "bool")},
    "ModelReadyRequest": {1: ("name", "string"), 2: ("version", "string")},
    "ModelReadyResponse": {1: ("ready", "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {1: ("name", "string"), 2: ("version", "string"), 3: ("extensions", "string*")},
    "ModelMetadataRequest": {1: ("name", "string"), 2: ("version", "string")},
    "ModelMetadataResponse": {
        1: ("name", "string"),
        2: ("versions", "string*"),
        3: ("platform", "string"),
        4: ("inputs", "ModelMetadataResponse.TensorMetadata*"),
        5: ("outputs", "ModelMetadataResponse.TensorMetadata*"),
    },
    "ModelMetadataResponse.TensorMetadata": {
        1: ("name", "string"),
        2: ("datatype", "string"),
        3: ("shape", "int64*"),
    },
    "ModelInferRequest": {
        1: ("model_name", "string"),
        2: ("model_version", "string"),
        3: ("id", "string"),
        4: ("parameters", "ModelInferRequest.ParametersEntry*"),
        5: ("inputs", "ModelInferRequest.InferInputTensor*"),
        6: ("outputs", "ModelInferRequest.InferRequestedOutputTensor*"),
        7: ("raw_input_contents", "bytes*"),
    },
    "ModelInferRequest.InferInputTensor": {
        1: ("name", "string"),
        2: ("datatype", "string"),
        3: ("shape", "int64*"),
        4: ("parameters", "ModelInferRequest.InferInputTensor.ParametersEntry*"),
        5: ("contents", "InferTensorContents"),
    },
    "ModelInferRequest.InferRequestedOutputTensor": {
        1: ("name", "string"),
        2: ("parameters", "ModelInferRequest.InferRequestedOutputTensor.ParametersEntry*"),
    },
    "ModelInferResponse": {
        1: ("model_name", "string"),
        2: ("model_version", "string"),
        3: ("id", "string"),
        4: ("parameters", "ModelInferResponse.ParametersEntry*"),
        5: ("outputs", "ModelInferResponse.InferOutputTensor*"),
        6: ("raw_output_contents", "bytes*"),
    },
    "ModelInferResponse.InferOutputTensor": {
        1: ("name", "string"),
        2: ("datatype", "string"),
        3: ("shape", "int64*"),
        4: ("parameters", "ModelInferResponse.InferOutputTensor.ParametersEntry*"),
        5: ("contents", "InferTensorContents"),
    },
    "InferParameter": {
        1: ("bool_param", "bool"),
        2: ("int64_param", "int64"),
        3: ("string_param", "string"),
        4: ("double_param", "double"),
        5: ("uint64_param", "uint64"),
    },
    "InferTensorContents": {
        1: ("bool_contents", "bool*"),
        2: ("int_contents", "int32*"),
        3: ("int64_contents", "int64*"),
        4: ("uint_contents", "uint32*"),
        5: ("uint64_contents", "uint64*"),
        6: ("fp32_contents", "float*"),
        7: ("fp64_contents", "double*"),
        8: ("bytes_contents", "bytes*"),
    },
}
# Fields of these messages exclude one another; the name is that of the choice.
_CHOICES: Final = {"InferParameter": "parameter_choice"}
# A map is written as many messages of a key and a value.
_MAP_ENTRY: Final = "ParametersEntry"
_MAP_FIELDS: Final = {1: ("key", "string"), 2: ("value", "InferParameter")}

# The field of InferTensorContents that holds the values of a datatype; FP16 has none and goes as raw bytes.
CONTENTS: Final = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def _build_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="loadplan/v2.proto", package=_PACKAGE, syntax="proto3")
    made: dict[str, Any] = {}
    for path, fields in _MESSAGES.items():
        owner, _, name = path.rpartition(".")
        message = made[owner].nested_type.add(name=name) if owner else file.message_type.add(name=name)
        made[path] = message
        if path in _CHOICES:
            message.oneof_decl.add(name=_CHOICES[path])
        _add_fields(message, fields, is_choice=path in _CHOICES)
        if any(kind.endswith(f"{_MAP_ENTRY}*") for _, kind in fields.values()):
            entry = message.nested_type.add(name=_MAP_ENTRY)
            entry.options.map_entry = True
            _add_fields(entry, _MAP_FIELDS, is_choice=False)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_fields(message: Any, fields: dict[int, tuple[str, str]], *, is_choice: bool) -> None:
    for number, (name, kind) in fields.items():
        bare = kind.removesuffix("*")
        field = message.field.add(name=name, number=number, label=_FieldRule.LABEL_OPTIONAL)
        if bare != kind:
            field.label = _FieldRule.LABEL_REPEATED
        if bare in _KINDS:
            field.type = _KINDS[bare]
        else:
            field.type, field.type_name = _FieldRule.TYPE_MESSAGE, f".{_PACKAGE}.{bare}"
        if is_choice:
            field.oneof_index = 0


_POOL: Final = _build_pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


ServerLiveRequest: Final = _message("ServerLiveRequest")
ServerLiveResponse: Final = _message("ServerLiveResponse")
ServerReadyRequest: Final = _message("ServerReadyRequest")
ServerReadyResponse: Final = _message("ServerReadyResponse")
ModelReadyRequest: Final = _message("ModelReadyRequest")
ModelReadyResponse: Final = _message("ModelReadyResponse")
ServerMetadataRequest: Final = _message("ServerMetadataRequest")
ServerMetadataResponse: Final = _message("ServerMetadataResponse")
ModelMetadataRequest: Final = _message("ModelMetadataRequest")
ModelMetadataResponse: Final = _message("ModelMetadataResponse")
ModelInferRequest: Final = _message("ModelInferRequest")
ModelInferResponse: Final = _message("ModelInferResponse")

# Method of the service -> the classes of its request and its answer.
METHODS: Final[dict[str, tuple[Any, Any]]] = {
    "ServerLive": (ServerLiveRequest, ServerLiveResponse),
    "ServerReady": (ServerReadyRequest, ServerReadyResponse),
    "ModelReady": (ModelReadyRequest, ModelReadyResponse),
    "ServerMetadata": (ServerMetadataRequest, ServerMetadataResponse),
    "ModelMetadata": (ModelMetadataRequest, ModelMetadataResponse),
    "ModelInfer": (ModelInferRequest, ModelInferResponse),
}
